//! Traffic that is made to confuse or to flood whoever listens, and bytes that must stay as they are.
#![expect(clippy::print_stdout, reason = "figures are part of what a run shows")]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use sonde_tests::wait_until;

use crate::watched::Watched;

impl Watched {
    /// What the agent did not understand, by reason.
    fn losses(&self) -> String {
        let metrics = self.agent.metrics().unwrap();
        let lines = metrics.lines().filter(|line| line.contains("_losses_total{"));
        lines.collect::<Vec<_>>().join(", ")
    }

    /// Whether the agent still measures: one more request counts.
    #[track_caller]
    fn still_measures(&self) {
        let labels = ["\"nginx\"", "http_route=\"/still-here\""];
        let count = || self.value("http_server_request_duration_seconds_count", &labels);
        let before = count();
        let mut stream = self.connect();
        stream
            .write_all(b"GET /still-here HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .unwrap();
        stream.read_to_string(&mut String::new()).unwrap();
        wait_until("one more request", Duration::from_secs(20), || count() > before).unwrap();
    }
}

/// Bytes that no test chose: a generator with a fixed beginning.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(count);
    while bytes.len() < count {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.extend_from_slice(&state.to_be_bytes()[..4]);
    }
    bytes
}

#[test]
fn nonsense_and_smuggling_do_no_harm() {
    let watched = Watched::start();
    let long = format!("GET /long HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = "X: y\r\n".repeat(100_000);
    let shapes: Vec<Vec<u8>> = vec![
        noise(1 << 16),
        [b"GET / HTTP/1.1\r\n".to_vec(), noise(1 << 16)].concat(),
        long.into_bytes(),
        format!("GET /many HTTP/1.1\r\n{many}\r\n").into_bytes(),
        b"POST /both HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n".to_vec(),
        b"POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!".to_vec(),
        b"POST /odd HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec(),
        b"POST /huge HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n".to_vec(),
        b"POST /minus HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n".to_vec(),
        b"POST /hex HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n".to_vec(),
        b"GET /folded HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n".to_vec(),
        b"GET  /blanks  HTTP/1.1\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc".to_vec(),
        vec![0; 1 << 16],
    ];
    for shape in &shapes {
        for _ in 0..20 {
            let mut stream = watched.connect();
            // A server that has enough says so by closing.
            let _ = stream.write_all(shape);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    watched.still_measures();
    let resident = watched.agent.process.resident_kb() / 1024;
    println!("{} shapes, resident {resident} MiB", shapes.len());
    assert!(!watched.agent.metrics().unwrap().contains("/smuggled"));
    watched.stop();
}

#[test]
fn half_a_million_paths_are_some_series_and_a_hundred_thousand_connections_none() {
    const PATHS: usize = 500_000;
    const CONNECTIONS: usize = 100_000;
    let watched = Watched::start();
    watched.still_measures();
    let before = watched.agent.process.resident_kb() / 1024;
    std::thread::scope(|scope| {
        for part in 0..4 {
            let mut stream = watched.connect();
            scope.spawn(move || flood(&mut stream, part * PATHS / 4..(part + 1) * PATHS / 4));
        }
    });
    // Pipelined as they are, a machine that is busy with other things may lose some: what counts here is
    // what becomes of those that are told of.
    let mut last = 0.0;
    let settled = || {
        let served = watched.served(&[]);
        std::thread::sleep(Duration::from_secs(1));
        let settled = served > 15_000.0 && served <= last;
        last = served;
        settled
    };
    let waited = wait_until("the requests", Duration::from_secs(30), settled);
    assert!(waited.is_ok(), "{} served; {}", watched.served(&[]), watched.losses());
    let served = watched.served(&[]);
    let overflow = watched.value(
        "http_server_request_duration_seconds_count",
        &["\"nginx\"", "otel_metric_overflow=\"true\""],
    );
    let metrics = watched.agent.metrics().unwrap();
    let counts = metrics.lines().filter(|line| {
        line.starts_with("http_server_request_duration_seconds_count{service_name=\"nginx\"")
    });
    let series = counts.count();
    let flooded = watched.agent.process.resident_kb() / 1024;
    println!(
        "{served} requests in {series} series, {overflow} of them in the shared one; resident {before}, then {flooded} MiB"
    );
    assert!(series <= 10_001 && overflow > 0.0, "{series} series, {overflow}");
    for _ in 0..CONNECTIONS / 1000 {
        // Half say a word and go, half only come.
        for number in 0..1000 {
            let mut stream = watched.connect();
            if number % 2 == 0 {
                let _ = stream.write_all(b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n");
            }
        }
    }
    watched.still_measures();
    let gone = || watched.value("sonde_agent_http_connections", &[]) < 1000.0;
    wait_until("the connections' end", Duration::from_secs(20), gone).unwrap();
    let after = watched.agent.process.resident_kb() / 1024;
    println!("{CONNECTIONS} connections later: {after} MiB");
    // Much of it is the page of metrics, 30 MB of text that this test asks for again and again.
    assert!(after < 300, "{after} MiB");
    watched.stop();
}

/// Asks for so many paths, fifty in a write: so many are captured whole.
fn flood(stream: &mut TcpStream, numbers: std::ops::Range<usize>) {
    let numbers: Vec<usize> = numbers.collect();
    let mut buffer = vec![0; 1 << 16];
    for fifty in numbers.chunks(50) {
        let mut asked = String::new();
        for number in fifty {
            // In letters: digits would be folded into one route.
            let word: String = format!("{number:06}")
                .bytes()
                .map(|digit| char::from(digit - b'0' + b'k'))
                .collect();
            let _infallible = write!(asked, "GET /{word} HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        stream.write_all(asked.as_bytes()).unwrap();
        let mut answers = 0;
        let mut tail = Vec::new();
        while answers < fifty.len() {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "nginx has closed");
            tail.extend_from_slice(&buffer[..read]);
            answers += tail.windows(6).filter(|six| *six == b"hello\n").count();
            let keep = tail.len().saturating_sub(5);
            tail.drain(..keep);
        }
    }
}

/// Talks to itself by every kind of call, and writes what each call said.
const CONVERSATION: &str = r"
import array, fcntl, hashlib, os, select, socket, termios, random
random.seed(7)
def waiting(end):
    count = array.array('i', [0])
    fcntl.ioctl(end, termios.FIONREAD, count)
    return count[0]
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
    if family == socket.AF_UNIX:
        client, server = socket.socketpair()
    else:
        listener = socket.create_server(('::1' if family == socket.AF_INET6 else '127.0.0.1', 0), family=family)
        client = socket.create_connection(listener.getsockname()[:2])
        server, _ = listener.accept()
    said = hashlib.sha256()
    for number in range(200):
        body = random.randbytes(random.randrange(3000))
        head = b'POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n' % (number, len(body))
        kind = number % 4
        if kind == 0: client.sendall(head + body)
        elif kind == 1: os.write(client.fileno(), head); client.send(body)
        elif kind == 2: client.sendmsg([head[:10], head[10:], body])
        else: os.writev(client.fileno(), [head, body])
        wanted = len(head) + len(body)
        poll = select.poll(); poll.register(server, select.POLLIN)
        said.update(repr(poll.poll(1000)[0][1]).encode())
        while waiting(server) < wanted: pass
        said.update(b'%d' % waiting(server))
        said.update(server.recv(20, socket.MSG_PEEK))
        got = b''
        while len(got) < wanted:
            part = server.recv(1 + number % 700) if kind < 2 else server.recvmsg(512)[0]
            said.update(b'%d;' % len(part)); got += part
        assert got == head + body
        said.update(got); said.update(repr(poll.poll(0)).encode())
    client.shutdown(socket.SHUT_WR)
    said.update(server.recv(10))
    print(family.name, said.hexdigest())
";

#[test]
fn programs_read_and_write_the_same_with_an_agent_and_without() {
    let said = || {
        let mut python = Command::new("/usr/bin/python3");
        let output = python.args(["-c", CONVERSATION]).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let without = said();
    let watched = Watched::start();
    let with = said();
    assert_eq!(with, without);
    assert_eq!(with.lines().count(), 3, "{with}");
    // It was seen, or this shows nothing.
    let seen = || {
        watched.value("http_server_request_duration_seconds_count", &["\"python3"])
            + watched.value("sonde_agent_http_losses_total", &[])
            > 0.0
    };
    wait_until("the conversation", Duration::from_secs(20), seen).unwrap();
    watched.stop();
}
