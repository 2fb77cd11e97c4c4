//! Heads as clients and servers write them, and as nobody should.

use super::*;
use crate::http::Chunk;
use crate::http::exchange::Transfer;
use crate::http::{Direction, Request};

fn parsed(bytes: &[u8]) -> Option<(RequestHead, usize)> {
    match request(bytes) {
        Parsed::Message { message, used } => Some((message, used)),
        Parsed::Incomplete | Parsed::Malformed => None,
    }
}

fn kept(head: &str) -> Request {
    let (head, _) = parsed(head.as_bytes()).expect("a request");
    let chunk = Chunk {
        direction: Direction::Sent,
        position: 0,
        length: 0,
        captured: &[],
        ends_chunked: false,
        boot_ns: 0,
        arrived_ns: 0,
        tid: 0,
        may_wait: false,
    };
    let RequestHead { facts, asked, expects, minor_version, framing } = head;
    let (content_length, transfer) = (framing.length(), Transfer::new(0, &chunk));
    Request { facts, asked, expects, number: 0, minor_version, content_length, transfer }
}

#[test]
fn a_target_is_split_and_its_query_stands_apart() {
    let check = |line: &str, path: &str, query: Option<&str>, host: Option<&str>| {
        let request = kept(&format!("{line} HTTP/1.1\r\nHost: from.field:80\r\n\r\n"));
        assert_eq!(request.path(), path, "{line}");
        assert_eq!(request.secret_query(), query, "{line}");
        assert_eq!(request.host(), host.or(Some("from.field:80")), "{line}");
    };
    check("GET /a/b?c=d?e#f", "/a/b", Some("c=d?e"), None);
    check("GET /", "/", None, None);
    check("GET /?", "/", None, None);
    check("OPTIONS *", "*", None, None);
    check("GET http://a.example:81/x?y", "/x", Some("y"), Some("a.example:81"));
    check("GET http://a.example?y=http://b", "/", Some("y=http://b"), Some("a.example"));
    check("GET http://user:word@a.example", "/", None, Some("a.example"));
    check("GET /to/http://b", "/to/http://b", None, None);
    check("CONNECT user:word@a.example:443", "", None, Some("a.example:443"));
}

#[test]
fn trace_contexts_are_kept_as_they_came() {
    let request =
        kept("GET / HTTP/1.1\r\nTraceParent: 00-a-b-01\r\ntracestate: x=1\r\nB3: t-s-1\r\n\r\n");
    assert_eq!(request.trace_parent(), Some("00-a-b-01"));
    assert_eq!(request.trace_state(), Some("x=1"));
    assert_eq!(request.b3().as_deref(), Some("t-s-1"));
    let twice = kept("GET / HTTP/1.1\r\ntraceparent: 00-a-b-01\r\ntraceparent: 00-c-d-01\r\n\r\n");
    assert_eq!(twice.trace_parent(), None);
}

#[test]
fn a_context_in_several_b3_fields_is_one() {
    let check = |fields: &str, expected: Option<&str>| {
        let request = kept(&format!("GET / HTTP/1.1\r\n{fields}\r\n"));
        assert_eq!(request.b3().as_deref(), expected, "{fields}");
    };
    let ids = "X-B3-TraceId: 1f\r\nX-B3-SpanId: 2e\r\n";
    check(ids, Some("1f-2e"));
    check(&format!("{ids}X-B3-Sampled: 1\r\n"), Some("1f-2e-1"));
    check(&format!("{ids}X-B3-Sampled: false\r\n"), Some("1f-2e-0"));
    check(&format!("{ids}X-B3-Flags: 1\r\n"), Some("1f-2e-d"));
    check("X-B3-Sampled: 0\r\n", Some("0"));
    check("", None);
}

#[test]
fn credentials_are_not_kept_and_the_query_is_not_shown() {
    let head = "POST /p?token=s3cret HTTP/1.1\r\nHost: u:s3cret@h\r\nAuthorization: Basic s3cret\r\n\
                Cookie: id=s3cret\r\nProxy-Authorization: s3cret\r\nX-Api-Key: s3cret\r\n\
                Referer: /s3cret\r\nUser-Agent: curl/8\r\nContent-Length: 3\r\n\r\n";
    let mut request = kept(head);
    assert!(!format!("{request:?}").contains("s3cret"));
    assert_eq!(request.user_agent(), Some("curl/8"));
    assert_eq!(request.secret_query(), Some("token=s3cret"));
    let mut fields = Fields::default();
    fields.set(Field::Host, request.host().expect("a host").as_bytes());
    request.facts = fields.pack();
    assert_eq!(request.host(), Some("h"));
}

#[test]
fn long_values_are_cut_and_bytes_that_are_no_text_are_replaced() {
    let long = "a".repeat(1_500);
    let request = kept(&format!("GET /{long}?{long} HTTP/1.1\r\nUser-Agent: {long}\r\n\r\n"));
    assert_eq!(request.path().len(), 1024);
    assert_eq!(request.secret_query().map(str::len), Some(512));
    assert_eq!(request.user_agent().map(str::len), Some(255));
    let (head, _) = parsed(b"GET / HTTP/1.1\r\nUser-Agent: a\xffb\r\n\r\n").expect("a request");
    let mut other = kept("GET / HTTP/1.1\r\n\r\n");
    other.facts = head.facts;
    assert_eq!(other.user_agent(), Some("a\u{fffd}b"));
}

#[test]
fn a_field_that_goes_on_in_the_next_line_is_one() {
    let head = "GET / HTTP/1.1\r\nUser-Agent: a\r\n b\r\nHost: h\r\n\r\nrest";
    let request = kept(head);
    assert_eq!(request.user_agent(), Some("a   b"));
    assert_eq!(request.host(), Some("h"));
    let (_, used) = parsed(head.as_bytes()).expect("a request");
    assert_eq!(&head[used..], "rest");
    assert!(matches!(super::request(b"GET / HTTP/1.1\r\nA: b\r\n c"), Parsed::Incomplete));
    let response = response(b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 3\r\n\r\n");
    let Parsed::Message { message, .. } = response else { panic!("refused") };
    assert_eq!(message.framing.length(), Some(3));
}

#[test]
fn a_folded_length_is_no_length() {
    let (head, _) =
        parsed(b"GET / HTTP/1.1\r\nContent-Length: 1\r\n 2\r\n\r\n").expect("a request");
    assert!(head.framing.request().is_err());
}

#[test]
fn the_end_of_a_head_is_an_empty_line() {
    assert!(has_end(b"a\r\n\r\n", 4));
    assert!(has_end(b"a\n\n", 2));
    assert!(has_end(b"a\n\r\nb", 0));
    assert!(!has_end(b"a\r\nb\r\n", 0));
    assert!(!has_end(b"a\r\n\r", 0));
}

#[test]
fn what_no_parser_should_take_is_malformed() {
    for head in [
        &b"GET / HTTP/1.1\r\nContent-Length : 1\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nA\r\n\r\n",
        b"GET / HTTP/1.1\r\n: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\rA: b\r\n\r\n",
    ] {
        assert!(matches!(request(head), Parsed::Malformed), "{}", String::from_utf8_lossy(head));
    }
}
