//! Which request led to which.

use std::net::SocketAddr;

use opentelemetry::trace::SpanId;
use sonde_ebpf::socket::SocketEvent::{self, Received, Sent};

use super::ANSWER;
use crate::http::Side;
use crate::record::SocketCall;
use crate::requests::{Connections, RequestMetrics, SamplingSettings, Span};
use crate::telemetry::ReasonLabels;

/// One end of a connection, and the thread that works with it.
#[derive(Clone, Copy)]
struct End {
    socket: u64,
    name: &'static str,
    tid: u32,
    local: u16,
    peer: u16,
    may_wait: bool,
    /// Bytes of the request's direction that it has not seen.
    missed: u32,
}

impl End {
    /// Each direction of a connection has a beginning of its own; both ends agree on it.
    fn sequence(self, event: SocketEvent, position: u64) -> u32 {
        let from = if matches!(event, Sent) { self.local } else { self.peer };
        let moved = u32::try_from(position).expect("few bytes") + self.missed;
        (u32::from(from) << 20).wrapping_add(moved)
    }
}

/// This host: its connections, and the spans so far.
struct Host {
    connections: Connections,
    metrics: RequestMetrics,
    spans: Vec<Span>,
    now_ns: u64,
}

impl Host {
    fn new() -> Self {
        Self::with(SamplingSettings::default())
    }

    fn with(sampling: SamplingSettings) -> Self {
        let metrics = RequestMetrics::default();
        let connections = Connections::new("/nowhere".into(), metrics.clone(), sampling);
        Self { connections, metrics, spans: Vec::new(), now_ns: 1_000_000_000 }
    }

    fn call(&mut self, end: End, event: SocketEvent, position: u64, bytes: &str) {
        self.now_ns += 1_000_000;
        let mut comm = [0; 16];
        comm[..end.name.len()].copy_from_slice(end.name.as_bytes());
        let at = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        self.connections.take(&SocketCall {
            socket: end.socket,
            event,
            boot_ns: self.now_ns,
            position,
            sequence: end.sequence(event, position),
            length: bytes.len() as u64,
            pid: end.tid,
            tid: end.tid,
            local: at(end.local),
            peer: at(end.peer),
            ends_chunked: false,
            has_no_payload: false,
            may_wait: end.may_wait && matches!(event, Received),
            comm,
            captured: bytes.as_bytes(),
        });
    }

    fn sends(&mut self, end: End, bytes: &str) {
        self.call(end, Sent, 0, bytes);
    }

    fn receives(&mut self, end: End, bytes: &str) {
        self.call(end, Received, 0, bytes);
    }

    /// Its spans, once nothing more can change.
    fn spans(&mut self) -> &[Span] {
        self.now_ns += 2_000_000_000;
        self.connections.tick(self.now_ns);
        self.spans.extend(self.connections.take_spans());
        &self.spans
    }

    #[track_caller]
    fn span(&self, service: &str, side: Side) -> &Span {
        let is = |span: &&Span| &*span.process.identity.service == service && span.side == side;
        let mut found = self.spans.iter().filter(is);
        let first =
            found.next().unwrap_or_else(|| panic!("{service} has no span: {:?}", self.spans));
        assert!(found.next().is_none(), "{service} has several");
        first
    }
}

fn answer() -> &'static str {
    str::from_utf8(ANSWER).expect("text")
}

fn parent(span: &Span) -> Option<SpanId> {
    span.parent.map(|(id, _)| id)
}

const CURL: End =
    End { socket: 1, name: "curl", tid: 10, local: 4000, peer: 80, may_wait: false, missed: 0 };
const SHOP: End =
    End { socket: 2, name: "shop", tid: 20, local: 80, peer: 4000, may_wait: true, missed: 0 };
const SHOP_OUT: End =
    End { socket: 3, name: "shop", tid: 20, local: 4001, peer: 81, may_wait: true, missed: 0 };
const STOCK: End =
    End { socket: 4, name: "stock", tid: 30, local: 81, peer: 4001, may_wait: true, missed: 0 };

const ASKED: &str = "GET /cart/7 HTTP/1.1\r\nHost: shop\r\n\r\n";
const ASKED_ON: &str = "GET /items HTTP/1.1\r\nHost: stock:81\r\n\r\n";

#[test]
fn a_chain_of_services_is_one_trace_each_the_child_of_whom_it_serves() {
    for server_first in [false, true] {
        let mut host = Host::new();
        // Who sends may be told of after who received.
        if server_first {
            host.receives(SHOP, ASKED);
            host.sends(CURL, ASKED);
            host.sends(SHOP_OUT, ASKED_ON);
            host.receives(STOCK, ASKED_ON);
        } else {
            host.sends(CURL, ASKED);
            host.receives(SHOP, ASKED);
            host.sends(SHOP_OUT, ASKED_ON);
            host.receives(STOCK, ASKED_ON);
        }
        host.sends(STOCK, answer());
        host.receives(SHOP_OUT, answer());
        host.sends(SHOP, answer());
        host.receives(CURL, answer());
        assert_eq!(host.spans().len(), 4);
        let chain = [
            ("curl", Side::Client),
            ("shop", Side::Server),
            ("shop", Side::Client),
            ("stock", Side::Server),
        ];
        let chain = chain.map(|(service, side)| host.span(service, side));
        assert_eq!(chain.map(parent)[0], None);
        for pair in chain.windows(2) {
            assert_eq!(pair[0].trace_id, pair[1].trace_id, "{server_first}");
            assert_eq!(parent(pair[1]), Some(pair[0].span_id), "{server_first}");
        }
        assert_eq!(chain.map(|span| &*span.name), ["GET", "GET /cart/{id}", "GET", "GET /items"]);
    }
}

#[test]
fn a_server_that_answers_before_its_client_is_told_of_still_belongs_to_it() {
    let mut host = Host::new();
    host.receives(SHOP, ASKED);
    host.sends(SHOP, answer());
    host.sends(CURL, ASKED);
    host.receives(CURL, answer());
    host.spans();
    let (client, server) = (host.span("curl", Side::Client), host.span("shop", Side::Server));
    assert_eq!((client.trace_id, parent(server)), (server.trace_id, Some(client.span_id)));
}

#[test]
fn ends_that_began_to_count_at_different_bytes_meet_all_the_same() {
    let mut host = Host::new();
    let server = End { missed: 700, ..SHOP };
    host.call(CURL, Sent, 700, ASKED);
    host.receives(server, ASKED);
    host.sends(server, answer());
    host.call(CURL, Received, 0, answer());
    host.spans();
    let (client, server) = (host.span("curl", Side::Client), host.span("shop", Side::Server));
    assert_eq!(parent(server), Some(client.span_id));
}

#[test]
fn a_thread_that_does_not_wait_for_one_connection_is_nobody_s_parent() {
    let mut host = Host::new();
    host.receives(End { may_wait: false, ..SHOP }, ASKED);
    host.sends(SHOP_OUT, ASKED_ON);
    host.receives(SHOP_OUT, answer());
    host.sends(SHOP, answer());
    host.spans();
    let (server, client) = (host.span("shop", Side::Server), host.span("shop", Side::Client));
    assert_eq!(parent(client), None);
    assert_ne!(client.trace_id, server.trace_id);
}

#[test]
fn of_two_requests_that_a_thread_serves_neither_is_the_parent_and_none_after_the_answer() {
    let mut host = Host::new();
    host.receives(SHOP, ASKED);
    host.receives(End { socket: 9, peer: 4009, ..SHOP }, ASKED);
    host.sends(SHOP_OUT, ASKED_ON);
    host.receives(SHOP_OUT, answer());
    host.sends(SHOP, answer());
    host.sends(End { socket: 9, peer: 4009, ..SHOP }, answer());
    host.call(SHOP_OUT, Sent, ASKED_ON.len() as u64, ASKED_ON);
    host.call(SHOP_OUT, Received, ANSWER.len() as u64, answer());
    let clients = host.spans().iter().filter(|span| span.side == Side::Client);
    assert!(clients.clone().all(|span| span.parent.is_none()));
    assert_eq!(clients.count(), 2);
}

#[test]
fn what_the_head_says_wins_and_goes_on() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let asked = |flags: &str| {
        format!(
            "GET / HTTP/1.1\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-{flags}\r\ntracestate: a=b\r\n\r\n"
        )
    };
    let mut host = Host::new();
    host.sends(CURL, &asked("01"));
    host.receives(SHOP, &asked("01"));
    host.sends(SHOP_OUT, ASKED_ON);
    host.receives(SHOP_OUT, answer());
    host.sends(SHOP, answer());
    host.receives(CURL, answer());
    host.spans();
    assert!(host.spans.iter().all(|span| span.trace_id.to_string() == TRACE));
    let server = host.span("shop", Side::Server);
    assert_eq!(
        server.parent.map(|(id, remote)| (id.to_string(), remote)),
        Some(("00f067aa0ba902b7".into(), true))
    );
    assert_eq!(server.trace_state, "a=b");
    assert_eq!(parent(host.span("shop", Side::Client)), Some(server.span_id));
    // Who began it does not record it: nor do we.
    let mut host = Host::new();
    host.receives(SHOP, &asked("00"));
    host.sends(SHOP, "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(host.spans().len(), 0);
}

#[test]
fn of_traces_that_are_not_kept_errors_are() {
    let mut host = Host::with(SamplingSettings { ratio: 0.0, ..SamplingSettings::default() });
    host.receives(SHOP, ASKED);
    host.sends(SHOP, answer());
    host.call(SHOP, Received, ASKED.len() as u64, ASKED);
    host.call(SHOP, Sent, ANSWER.len() as u64, "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n");
    let spans = host.spans();
    assert_eq!(spans.len(), 1);
    assert!(spans[0].is_error && spans[0].trace_state == "ot=th:0", "{spans:?}");
}

#[test]
fn a_span_says_what_the_conventions_ask_for_and_no_secret() {
    let asked = "POST /users/42?token=s3cret HTTP/1.1\r\nHost: user:s3cret@shop:8080\r\nAuthorization: s3cret\r\n\
        Cookie: s3cret\r\nUser-Agent: test\r\nContent-Length: 2\r\n\r\nok";
    let mut host = Host::new();
    host.sends(CURL, asked);
    host.receives(SHOP, asked);
    host.sends(SHOP, answer());
    host.receives(CURL, answer());
    host.spans();
    let text = format!("{:?}", host.spans);
    assert!(!text.contains("s3cret"), "{text}");
    let server = host.span("shop", Side::Server);
    let value = |name: &str| {
        let found = server.attributes.iter().find(|one| one.key.as_str() == name);
        found.map(|one| one.value.to_string()).unwrap_or_default()
    };
    for (name, expected) in [
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("http.route", "/users/{id}"),
        ("url.path", "/users/42"),
        ("url.scheme", "http"),
        ("server.address", "shop"),
        ("server.port", "8080"),
        ("client.address", "127.0.0.1"),
        ("user_agent.original", "test"),
        ("http.request.body.size", "2"),
        ("network.protocol.version", "1.1"),
        ("thread.id", "20"),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    let client = host.span("curl", Side::Client);
    let url = client.attributes.iter().find(|one| one.key.as_str() == "url.full");
    assert_eq!(url.map(|url| url.value.to_string()), Some("http://shop:8080/users/42".to_owned()));
}

#[test]
fn spans_that_everybody_asks_for_are_bounded_and_the_rest_is_counted() {
    const MORE: u64 = 5;
    const WAITING: u64 = 8192;
    let asked = "GET / HTTP/1.1\r\ntraceparent: \
        00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
    let mut host = Host::new();
    for number in 0..WAITING + MORE {
        host.call(SHOP, Received, number * asked.len() as u64, asked);
        host.call(SHOP, Sent, number * ANSWER.len() as u64, answer());
    }
    assert_eq!(host.spans().len() as u64, WAITING);
    let reason = ReasonLabels { reason: "too_many_spans" };
    assert_eq!(host.metrics.losses.get_or_create(&reason).get(), MORE);
}
