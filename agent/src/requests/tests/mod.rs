//! Whole conversations, as the kernel would tell of them, to metrics and spans.

mod traces;

use prometheus_client::{encoding::text::encode, registry::Registry};
use sonde_ebpf::socket::SocketEvent;

use super::*;
use crate::http::{Chunk, Connection, Direction, Exchange, Found};
use crate::record::SocketCall;

/// What a server that is asked for `path` answers with this status.
pub(super) fn exchange(path: &str, status: u16, boot_ns: u64) -> Exchange {
    let (mut connection, mut found) = (Connection::new(1), Found::default());
    let asked = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
    for (direction, bytes) in [(Direction::Received, &asked), (Direction::Sent, &answer)] {
        let chunk = Chunk {
            direction,
            position: 0,
            length: bytes.len() as u64,
            captured: bytes.as_bytes(),
            ends_chunked: false,
            boot_ns,
            arrived_ns: 0,
            tid: 5,
            may_wait: false,
        };
        connection.chunk(&chunk, &mut found);
    }
    found.exchanges.pop().expect("one")
}

/// Connections whose processes are all gone: names come from threads.
struct Watched {
    connections: Connections,
    registry: Registry,
    _proc_root: tempfile::TempDir,
}

impl Watched {
    fn new() -> Self {
        Self::with(SamplingSettings::default())
    }

    fn with(sampling: SamplingSettings) -> Self {
        let proc_root = tempfile::tempdir().expect("a directory");
        let (metrics, mut registry) = (RequestMetrics::default(), Registry::default());
        metrics.register(&mut registry);
        let connections = Connections::new(proc_root.path().into(), metrics, sampling);
        Self { connections, registry, _proc_root: proc_root }
    }

    fn call(&mut self, socket: u64, event: SocketEvent, position: u64, bytes: &[u8]) {
        let mut comm = [0; 16];
        comm[..4].copy_from_slice(b"shop");
        self.connections.take(&SocketCall {
            socket,
            event,
            boot_ns: 1_000_000_000 + position,
            position,
            sequence: 0,
            length: bytes.len() as u64,
            pid: 5,
            tid: 5,
            local: None,
            peer: "10.0.0.9:8080".parse().ok(),
            ends_chunked: false,
            has_no_payload: false,
            may_wait: false,
            comm,
            captured: bytes,
        });
    }

    /// Lines of the metrics that hold this.
    fn lines(&self, wanted: &str) -> Vec<String> {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("written");
        let lines = text.lines().filter(|line| line.contains(wanted) && !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    }
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_server_s_request_counts_once_under_its_route_and_the_thread_s_name() {
    let mut watched = Watched::new();
    let asked = b"GET /users/42?token=secret HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n";
    watched.call(1, SocketEvent::Received, 0, asked);
    watched.call(1, SocketEvent::Sent, 0, ANSWER);
    let expected = "http_server_request_duration_seconds_count{service_name=\"shop\",\
         http_request_method=\"GET\",http_route=\"/users/{id}\",\
         http_response_status_code=\"200\",url_scheme=\"http\"} 1";
    assert_eq!(watched.lines("http_server_request_duration_seconds_count"), [expected]);
    assert_eq!(watched.lines("secret"), [] as [&str; 0]);
}

#[test]
fn a_client_s_request_has_its_server_and_its_error() {
    let mut watched = Watched::new();
    watched.call(1, SocketEvent::Sent, 0, b"GET /a HTTP/1.1\r\nHost: api.example:81\r\n\r\n");
    let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    watched.call(1, SocketEvent::Received, 0, missing);
    let expected = "http_client_request_duration_seconds_count{service_name=\"shop\",\
         http_request_method=\"GET\",http_response_status_code=\"404\",error_type=\"404\",\
         server_address=\"api.example\",server_port=\"81\"} 1";
    assert_eq!(watched.lines("http_client_request_duration_seconds_count"), [expected]);
}

#[test]
fn requests_under_way_are_a_gauge_and_a_closed_connection_ends_them() {
    let mut watched = Watched::new();
    watched.call(1, SocketEvent::Received, 0, b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    watched.connections.tick(2_000_000_000);
    assert_eq!(
        watched.lines("active_requests"),
        [
            "http_server_active_requests{service_name=\"shop\",http_request_method=\"GET\",url_scheme=\"http\"} 1"
        ]
    );
    watched.call(1, SocketEvent::Closed, 0, b"");
    watched.connections.tick(3_000_000_000);
    assert_eq!(watched.lines("active_requests"), [] as [&str; 0]);
    let ended = watched.lines("request_duration_seconds_count");
    assert!(ended.len() == 1 && ended[0].contains("error_type=\"no_response\""), "{ended:?}");
    assert!(watched.connections.is_empty());
}

#[test]
fn what_turns_out_to_be_something_else_is_left_alone() {
    let mut watched = Watched::new();
    watched.call(1, SocketEvent::Received, 0, b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n");
    assert!(watched.connections.is_empty());
    watched.call(1, SocketEvent::Received, 40, b"GET / HTTP/1.1\r\n\r\n");
    assert!(watched.connections.is_empty());
    watched.connections.tick(2_000_000_000);
    let given_up = "sonde_agent_http_losses_total{reason=\"bad_length\"} 1";
    assert!(watched.lines("losses").contains(&given_up.to_owned()));
}
