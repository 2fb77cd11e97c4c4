//! What it costs to go from chunks to exchanges: chunks per second of one core, over connections that
//! take turns, with heads as browsers and servers write them.
#![expect(clippy::print_stdout, reason = "a bench's result is what it prints")]

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sonde_agent::http::{Chunk, Connection, Direction, Found, Outcome};

const CONNECTIONS: usize = 1_000;
/// Exchanges of each connection.
const ROUNDS: usize = 10;

const REQUEST: &[u8] =
    b"GET /api/v1/orders/12345/items?page=2 HTTP/1.1\r\nHost: shop.example:8080\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n\
    Connection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\
    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.26.0\r\n\
    Date: Fri, 27 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\n\
    Content-Length: 4096\r\nConnection: keep-alive\r\nVary: Accept-Encoding\r\n\r\n";
const SHORT_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

struct Traffic {
    request: Vec<u8>,
    response: Vec<u8>,
    /// Bytes of the response that were not captured.
    unseen: u64,
    /// The body comes in a call of its own.
    split: bool,
    exchanges: usize,
}

impl Traffic {
    const fn chunks(&self) -> usize {
        CONNECTIONS * ROUNDS * if self.split { 3 } else { 2 }
    }

    /// All connections, from their first byte to their last exchange.
    fn run(&self, found: &mut Found) {
        let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| Connection::new(1)).collect();
        let response = self.response.len() as u64;
        let (head, rest) = if self.split { (0, self.unseen) } else { (self.unseen, 0) };
        for round in 0..ROUNDS as u64 {
            for connection in &mut connections {
                let request = self.request.len() as u64;
                let chunk = chunk_of(Direction::Received, round * request, &self.request, 0);
                connection.chunk(&chunk, found);
                let position = round * (response + self.unseen);
                let chunk = chunk_of(Direction::Sent, position, &self.response, head);
                connection.chunk(&chunk, found);
                if self.split {
                    let chunk = chunk_of(Direction::Sent, position + response, &[], rest);
                    connection.chunk(&chunk, found);
                }
            }
        }
        assert_eq!(found.exchanges.len(), CONNECTIONS * ROUNDS * self.exchanges);
        assert!(found.exchanges.iter().all(|one| one.outcome == Outcome::Complete));
    }
}

const fn chunk_of(direction: Direction, position: u64, captured: &[u8], unseen: u64) -> Chunk<'_> {
    let length = captured.len() as u64 + unseen;
    let (ends_chunked, boot_ns, arrived_ns, tid) = (false, 1 + position, 1, 7);
    let may_wait = false;
    Chunk {
        direction,
        position,
        length,
        captured,
        ends_chunked,
        boot_ns,
        arrived_ns,
        tid,
        may_wait,
    }
}

fn http(criterion: &mut Criterion) {
    let traffic = |request: Vec<u8>, response: Vec<u8>, unseen, split, exchanges| Traffic {
        request,
        response,
        unseen,
        split,
        exchanges,
    };
    let pipelined = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".as_slice()].repeat(8).concat();
    let cases = [
        ("browser", traffic(REQUEST.to_vec(), RESPONSE.to_vec(), 4096, false, 1)),
        ("browser, body apart", traffic(REQUEST.to_vec(), RESPONSE.to_vec(), 4096, true, 1)),
        ("short request", traffic(SHORT_REQUEST.to_vec(), RESPONSE.to_vec(), 4096, false, 1)),
        ("8 pipelined", traffic(SHORT_REQUEST.repeat(8), pipelined, 0, false, 8)),
    ];
    let mut group = criterion.benchmark_group("http");
    group.sample_size(20);
    for (name, traffic) in &cases {
        group.throughput(Throughput::Elements(traffic.chunks() as u64));
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                let mut found = Found::default();
                traffic.run(&mut found);
                black_box(found.exchanges.len())
            });
        });
    }
    group.finish();
    // `cargo test` runs benches too, without this flag; there they only have to work.
    if std::env::args().any(|word| word == "--bench") {
        cases.iter().for_each(|(name, traffic)| print(name, traffic));
    }
}

/// The fastest of some runs.
fn print(name: &str, traffic: &Traffic) {
    let seconds = |_| {
        let mut found = Found::default();
        let start = Instant::now();
        traffic.run(&mut found);
        start.elapsed().as_secs_f64()
    };
    let best = (0..50).map(seconds).fold(f64::INFINITY, f64::min);
    let chunks = traffic.chunks() as f64;
    println!("{name}: {:.2} M chunks/s, {:.0} ns each", chunks / best / 1e6, best * 1e9 / chunks);
}

criterion_group!(benches, http);
criterion_main!(benches);
