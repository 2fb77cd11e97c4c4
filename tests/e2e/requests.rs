//! Requests are counted from outside as often as the server itself counts them, whatever they look
//! like on the socket.
#![expect(clippy::print_stdout, reason = "figures are part of what a run shows")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Command;
use std::time::Duration;

use sonde_tests::{http, wait_until};

use crate::watched::Watched;

impl Watched {
    /// Waits until as many requests are told of.
    #[track_caller]
    fn tells(&self, count: f64, labels: &[&str]) {
        let told = || (self.served(labels) - count).abs() < 0.5;
        let waited = wait_until("the requests", Duration::from_secs(20), told);
        let metrics = || {
            let metrics = self.agent.metrics().unwrap();
            let ours = metrics.lines().filter(|line| line.contains("http_"));
            ours.filter(|line| line.contains("_count") || line.contains("losses"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert!(waited.is_ok(), "{labels:?}: not {count}:\n{}", metrics());
    }

    /// What nginx counted up to now.
    fn counted(&self) -> f64 {
        let text = http::get(self.web.port, "/requests").unwrap().text();
        let line = text.lines().nth(2).unwrap();
        line.split_whitespace().nth(2).unwrap().parse().unwrap()
    }

    fn curl(&self, args: &[&str]) {
        let status = Command::new("curl").args(["-s", "-o", "/dev/null"]).args(args).status();
        assert!(status.unwrap().success(), "{args:?}");
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.web.port)
    }
}

#[test]
fn every_request_that_the_server_counts_is_told_of() {
    let watched = Watched::start();
    for (path, more) in [("/kept", &["-k"][..]), ("/each", &[])] {
        let mut load = Command::new("ab");
        load.args(["-q", "-c", "16", "-n", "20000"]).args(more).arg(watched.url(path));
        assert!(load.output().unwrap().status.success());
    }
    let counted = watched.counted();
    watched.tells(counted, &[]);
    watched.tells(20000.0, &["http_route=\"/kept\"", "http_response_status_code=\"200\""]);
    let clients = watched
        .value("http_client_request_duration_seconds_count", &["service_name=\"ab\"", "\"200\""]);
    println!("nginx counted {counted}, the agent {}; of ab {clients}", watched.served(&[]));
    assert!((clients - 40000.0).abs() < 0.5, "{clients}");
    watched.stop();
}

#[test]
fn requests_of_every_shape_are_one_each_with_its_size() {
    let watched = Watched::start();
    let port = watched.web.port;
    let socket = watched.web.socket.display().to_string();
    watched.curl(&[&format!("http://[::1]:{port}/six")]);
    watched.curl(&["--unix-socket", &socket, "http://web/unix"]);
    watched.curl(&["-I", &watched.url("/head")]);
    watched.curl(&["--http1.0", &watched.url("/old")]);
    watched.curl(&["-X", "PURGE", &watched.url("/purge")]);
    watched.curl(&["-d", "name=value", &watched.url("/form?secret=1")]);
    let large = watched.web.large;
    watched.curl(&[&watched.url("/large")]);
    // A body in chunks, in many writes.
    let mut upload = Command::new("sh");
    upload.args(["-c", "head -c 300000 /dev/zero | curl -s -o /dev/null -H Expect: -T - \"$0\""]);
    assert!(upload.arg(watched.url("/upload")).status().unwrap().success());
    for (method, route) in [
        ("GET", "/six"),
        ("GET", "/unix"),
        ("HEAD", "/head"),
        ("GET", "/old"),
        ("_OTHER", "/purge"),
        ("POST", "/form"),
        ("GET", "/large"),
        ("PUT", "/upload"),
    ] {
        let labels = [format!("method=\"{method}\""), format!("http_route=\"{route}\"")];
        watched.tells(1.0, &labels.each_ref().map(String::as_str));
    }
    let sent = watched.value("http_server_response_body_size_bytes_sum", &["\"/large\""]);
    assert!((sent - f64::from(u32::try_from(large).unwrap())).abs() < 0.5, "{sent}");
    let form = watched.value("http_server_request_body_size_bytes_sum", &["\"/form\""]);
    assert!((form - 10.0).abs() < 0.5, "{form}");
    let upload = watched.value("http_server_request_body_size_bytes_sum", &["\"/upload\""]);
    // Between the chunks are their sizes.
    assert!((300_000.0..310_000.0).contains(&upload), "{upload}");
    assert!(!watched.agent.metrics().unwrap().contains("secret"));
    watched.stop();
}

#[test]
fn chunks_in_calls_of_their_own_and_long_heads_are_understood() {
    const SERVER: &str = "
import http.server
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        self.send_response(200)
        self.send_header('Transfer-Encoding', 'chunked')
        self.send_header('X-Long', 'x' * 600)
        self.end_headers()
        for part in [b'a' * 700, b'b' * 70, b'']:
            self.wfile.write(b'%x\\r\\n' % len(part) + part + b'\\r\\n')
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Answer)
print(server.server_address[1], flush=True)
server.serve_forever()";
    let watched = Watched::start();
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", SERVER]).env("OTEL_SERVICE_NAME", "chunky");
    let mut server = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = format!("http://127.0.0.1:{}/", line.trim());
    let cookie = format!("Cookie: {}", "y".repeat(2000));
    for _ in 0..20 {
        watched.curl(&[
            "-H",
            &cookie,
            &format!("{url}one"),
            "-o",
            "/dev/null",
            &format!("{url}two"),
        ]);
    }
    server.kill().unwrap();
    server.wait().unwrap();
    for route in ["/one", "/two"] {
        let count = || {
            let labels = ["service_name=\"chunky\"", &format!("\"{route}\""), "\"200\""];
            watched.value("http_server_request_duration_seconds_count", &labels)
        };
        let waited = wait_until("the requests", Duration::from_secs(20), || count() > 19.5);
        assert!(waited.is_ok(), "{route}: {}", count());
    }
    watched.stop();
}

#[test]
fn requests_in_one_piece_in_many_and_given_up_are_told_as_they_were() {
    let watched = Watched::start();
    // Pipelined: three heads in one write.
    let mut stream = watched.connect();
    stream.write_all("GET /piped HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3).as_bytes()).unwrap();
    let mut answers = String::new();
    while answers.matches("hello").count() < 3 {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).unwrap();
        answers.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    watched.tells(3.0, &["\"/piped\""]);
    // A byte at a time, as a slow client sends.
    let mut slow = watched.connect();
    for byte in b"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" {
        slow.write_all(&[*byte]).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    slow.read_to_string(&mut String::new()).unwrap();
    watched.tells(1.0, &["\"/slow\""]);
    // A client that leaves in the middle of the answer.
    let mut gone = watched.connect();
    gone.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    gone.read_exact(&mut [0; 100]).unwrap();
    drop(gone);
    watched.tells(1.0, &["\"/large\"", "error_type=\"aborted\""]);
    watched.stop();
}
