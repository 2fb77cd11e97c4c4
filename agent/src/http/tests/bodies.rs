//! Bodies whose bytes are mostly not captured: where they end, and how large they were.

use super::*;
use Direction::{Received, Sent};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_body_with_a_length_is_counted_without_being_seen() {
    let mut wire = Wire::new();
    wire.received(GET);
    wire.call(Sent, b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000000\r\n\r\n", 0, false);
    wire.call(Sent, b"", 9_999_999_999_999, false);
    assert_eq!(wire.in_flight(), 1);
    wire.call(Sent, b"", 1, false);
    wire.check("GET / 0 -> 200 10000000000000 Complete");
}

#[test]
fn a_body_as_long_as_a_number_can_be_is_no_overflow() {
    let mut wire = Wire::new();
    wire.received(&format!("PUT / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", u64::MAX));
    wire.call(Received, b"", u64::MAX - 100, false);
    wire.call(Received, b"", u64::MAX, false);
    wire.call(Received, b"", u64::MAX, false);
    wire.close(Closer::Peer, true);
    assert_eq!(wire.found.exchanges.len(), 1);
}

#[test]
fn chunks_that_were_captured_are_counted_without_their_sizes() {
    let mut wire = Wire::new();
    wire.received("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r");
    wire.received("\n0\r\nTrailer: x\r\n\r\n");
    wire.sent(CHUNKED);
    wire.sent("a\r\n0123456789\r\n");
    wire.sent("0\r\n\r\n");
    wire.check("POST / 3 -> 200 10 Complete");
    let response = wire.found.exchanges[0].response.expect("one");
    assert!(response.transfer.body_exact);
}

#[test]
fn one_chunk_in_a_call_is_exact_if_only_its_size_was_captured() {
    let mut wire = Wire::new();
    wire.received(GET);
    wire.sent(CHUNKED);
    for _ in 0..3 {
        wire.call(Sent, b"1000\r\nabc", 0x1000 - 3 + 2, false);
    }
    // Inside of data this is no end.
    wire.call(Sent, b"10\r\n", 9, true);
    wire.call(Sent, b"", 9, false);
    wire.sent("0\r\n\r\n");
    wire.check("GET / 0 -> 200 12304 Complete");
    assert!(wire.found.exchanges[0].response.expect("one").transfer.body_exact);
}

#[test]
fn a_chunked_body_that_was_not_captured_ends_with_the_mark() {
    let mut wire = Wire::new();
    wire.received(GET);
    wire.call(Sent, CHUNKED.as_bytes(), 100, false);
    wire.call(Sent, b"", 1000, false);
    assert_eq!(wire.in_flight(), 1);
    wire.call(Sent, b"", 50, true);
    wire.received(GET);
    wire.call(Sent, CHUNKED.as_bytes(), 100, true);
    wire.received(GET);
    wire.call(Sent, CHUNKED.as_bytes(), 100, false);
    wire.sent("0\r\n\r\n");
    wire.check(
        "GET / 0 -> 200 1150 Complete
         GET / 0 -> 200 100 Complete
         GET / 0 -> 200 105 Complete",
    );
    assert!(!wire.found.exchanges[0].response.expect("one").transfer.body_exact);
}

#[test]
fn without_a_mark_it_ends_before_the_next_head() {
    let mut wire = Wire::new();
    wire.received(GET);
    wire.call(Sent, CHUNKED.as_bytes(), 100, false);
    wire.received(&get("/next"));
    assert_eq!(wire.found.exchanges.len(), 0);
    wire.sent(OK);
    wire.check("GET / 0 -> 200 100 Complete\nGET /next 0 -> 200 2 Complete");
    let last_ns = wire.found.exchanges[0].response.expect("one").transfer.last_ns;
    assert_eq!(last_ns, 102);
}

#[test]
fn without_a_next_head_it_ends_with_the_connection_or_after_a_while() {
    let unmarked = || {
        let mut wire = Wire::new();
        wire.received(GET);
        wire.call(Sent, CHUNKED.as_bytes(), 100, false);
        wire
    };
    let mut wire = unmarked();
    wire.close(Closer::Observed, false);
    wire.check("GET / 0 -> 200 100 Complete");
    let mut wire = unmarked();
    wire.close(Closer::Peer, true);
    wire.check("GET / 0 -> 200 100 Aborted(Peer)");
    let mut wire = unmarked();
    let patience = Patience { unmarked_ns: 1000, exchange_ns: 10_000 };
    wire.connection.expire(1000, patience, &mut wire.found);
    wire.check("");
    wire.connection.expire(2000, patience, &mut wire.found);
    wire.check("GET / 0 -> 200 100 Complete");
    // It was only slow.
    wire.call(Sent, b"", 100, false);
    wire.received(&get("/next"));
    wire.sent(OK);
    wire.check("GET / 0 -> 200 100 Complete\nGET /next 0 -> 200 2 Complete");
    assert_eq!(wire.losses(), "");
}

#[test]
fn a_chunked_upload_that_was_not_captured_is_over_with_its_response() {
    let mut wire = Wire::new();
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    wire.call(Received, head.as_bytes(), 300, false);
    wire.call(Received, b"", 300, false);
    wire.sent(OK);
    wire.check("POST / 600 -> 200 2 Complete");
    wire.call(Received, b"", 300, false);
    wire.call(Received, head.as_bytes(), 300, true);
    wire.sent(OK);
    wire.check("POST / 600 -> 200 2 Complete\nPOST / 300 -> 200 2 Complete");
    assert_eq!(wire.losses(), "");
}

#[test]
fn a_body_without_length_ends_with_the_connection() {
    for version in ["1.0", "1.1"] {
        let mut wire = Wire::new();
        wire.received("GET /old HTTP/1.0\r\n\r\n");
        wire.sent(&format!("HTTP/{version} 200 OK\r\n\r\n{OK}"));
        wire.call(Sent, b"", 1 << 40, false);
        wire.lost(Sent, 5);
        wire.call(Sent, b"GET", 0, false);
        wire.close(Closer::Observed, false);
        let sum = OK.len() as u64 + (1 << 40) + 8;
        wire.check(&format!("GET /old 0 -> 200 {sum} Complete"));
        let response = wire.found.exchanges[0].response.expect("one");
        assert!(response.transfer.whole);
        assert_eq!(wire.found.exchanges[0].request.minor_version, 0);
    }
}

#[test]
fn heads_behind_a_body_in_one_chunk_are_found() {
    let mut wire = Wire::new();
    wire.received(&format!("POST /1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc{}", get("/2")));
    wire.sent(&format!("{CHUNKED}1\r\nx\r\n0\r\n\r\n{OK}"));
    wire.check("POST /1 3 -> 200 1 Complete\nGET /2 0 -> 200 2 Complete");
}
