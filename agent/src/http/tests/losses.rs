//! Bytes that never came or were not captured: what is lost with them, and where it goes on.

use super::*;
use Direction::{Received, Sent};

/// The connection is in step again.
fn check_goes_on(mut wire: Wire) {
    wire.found.exchanges.clear();
    wire.received(&get("/after"));
    wire.sent(OK);
    wire.check("GET /after 0 -> 200 2 Complete");
}

#[test]
fn a_lost_request_costs_itself() {
    let mut wire = Wire::new();
    wire.received(GET);
    wire.sent(OK);
    wire.lost(Received, 50);
    wire.sent(OK);
    wire.received(&get("/2"));
    wire.sent(OK);
    wire.check("GET / 0 -> 200 2 Complete\nGET /2 0 -> 200 2 Complete");
    assert_eq!(wire.losses(), "bytes_lost response_without_request");
    assert_eq!(wire.found.counts.lost_bytes, 50);
    check_goes_on(wire);
}

#[test]
fn a_lost_response_costs_itself_and_the_next() {
    let mut wire = Wire::new();
    wire.received(&get("/1"));
    wire.lost(Sent, 50);
    wire.received(&get("/2"));
    // Whose response this is cannot be told: the client may pipeline.
    wire.sent(OK);
    wire.check("GET /1 0 -> - LostBytes\nGET /2 0 -> - LostBytes");
    check_goes_on(wire);
}

#[test]
fn a_lost_exchange_in_full_is_not_taken_for_its_neighbours() {
    let mut wire = Wire::new();
    wire.received(&get("/1"));
    wire.lost(Sent, 50);
    wire.lost(Received, 50);
    wire.sent(OK);
    wire.check("GET /1 0 -> - LostBytes");
    check_goes_on(wire);
}

#[test]
fn lost_bytes_inside_a_body_with_a_length_cost_nothing() {
    let mut wire = Wire::new();
    wire.received("POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n");
    wire.lost(Received, 99);
    wire.received("x");
    wire.sent("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n");
    wire.lost(Sent, 20);
    wire.call(Sent, b"", 30, false);
    wire.check("POST / 100 -> 200 50 Complete");
    assert_eq!((wire.losses().as_str(), wire.found.counts.lost_bytes), ("", 119));
}

#[test]
fn a_request_s_body_that_was_never_told_of_costs_nothing() {
    let mut wire = Wire::new();
    for number in 1..4 {
        wire.received(&format!("POST /{number} HTTP/1.1\r\nContent-Length: 100\r\n\r\n"));
        wire.lost(Received, 100);
        wire.sent(OK);
    }
    wire.received(&get("/4"));
    wire.sent(OK);
    wire.check(
        "POST /1 100 -> 200 2 Complete\nPOST /2 100 -> 200 2 Complete\n\
         POST /3 100 -> 200 2 Complete\nGET /4 0 -> 200 2 Complete",
    );
    assert_eq!(wire.losses(), "");
}

#[test]
fn lost_bytes_that_may_have_been_the_end_of_a_message_cost_it() {
    let mut wire = Wire::new();
    wire.received(&get("/1"));
    wire.sent("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    wire.lost(Sent, 20);
    wire.call(Sent, b"", 100, true);
    wire.check("GET /1 0 -> 200 0 LostBytes");
    check_goes_on(wire);
}

#[test]
fn a_head_longer_than_what_was_captured_is_given_up() {
    let mut wire = Wire::new();
    wire.call(Received, b"GET /1 HTTP/1.1\r\nCookie: abcdef", 1000, false);
    wire.received("rest of the head\r\n\r\n");
    wire.sent(OK);
    assert_eq!(wire.losses(), "head_uncaptured response_without_request");
    wire.received(&get("/2"));
    wire.call(Sent, b"HTTP/1.1 200 OK\r\nSet-Cookie: abcdef", 5000, false);
    wire.check("GET /2 0 -> - LostBytes");
    check_goes_on(wire);
}

#[test]
fn pipelined_heads_behind_what_was_captured_are_given_up() {
    let mut wire = Wire::new();
    wire.call(Received, [get("/1"), get("/2")].concat().as_bytes(), 300, false);
    wire.check("GET /1 0 -> - LostBytes\nGET /2 0 -> - LostBytes");
    wire.sent(&[OK, OK].concat());
    wire.sent(&[OK, OK].concat());
    check_goes_on(wire);
}

#[test]
fn a_head_longer_than_any_is_given_up() {
    let mut wire = Wire::new();
    wire.received("GET /1 HTTP/1.1\r\n");
    for _ in 0..50 {
        wire.received(&format!("X: {}\r\n", "x".repeat(100)));
    }
    wire.received("\r\n");
    assert_eq!(wire.losses(), "head_too_long");
    assert!(wire.connection.memory_bytes() < 512);
    wire.sent(OK);
    check_goes_on(wire);
}

#[test]
fn what_follows_a_message_and_is_no_head_costs_what_comes_until_the_next_call_with_one() {
    let mut wire = Wire::new();
    wire.received("POST /1 HTTP/1.1\r\nContent-Length: 2\r\n\r\nab and more, and more");
    wire.check("POST /1 2 -> - LostBytes");
    assert_eq!(wire.losses(), "not_a_head");
    wire.sent(OK);
    check_goes_on(wire);
}

#[test]
fn a_connection_that_was_open_before_is_joined_at_its_next_request() {
    let mut wire = Wire::opened_at(0);
    wire.sent("rest of a body");
    wire.sent(OK);
    wire.received(&get("/1"));
    wire.sent(OK);
    wire.check("GET /1 0 -> 200 2 Complete");
    assert_eq!(wire.losses(), "response_without_request");
    check_goes_on(wire);
}

#[test]
fn after_a_loss_requests_count_only_when_no_answer_can_be_due() {
    let mut wire = Wire::new();
    wire.received(&get("/1"));
    wire.lost(Received, 50);
    wire.received(&get("/3"));
    wire.received(&get("/4"));
    wire.check("GET /1 0 -> - LostBytes");
    assert_eq!(wire.losses(), "bytes_lost request_after_loss*2");
    wire.sent(&[OK, OK, OK, OK].concat());
    check_goes_on(wire);
}

#[test]
fn a_clients_first_request_after_a_loss_is_dropped_if_its_answer_had_come() {
    let mut wire = Wire::opened_at(0);
    wire.received(OK);
    wire.sent(&get("/1"));
    wire.sent(&get("/2"));
    wire.received(OK);
    wire.sent(&get("/3"));
    wire.received(OK);
    wire.check("GET /1 0 -> - LostBytes\nGET /3 0 -> 200 2 Complete");
}

#[test]
fn a_connection_that_only_loses_is_given_up() {
    let mut wire = Wire::new();
    for _ in 0..100 {
        wire.received(GET);
        wire.lost(Sent, 10);
        wire.sent(OK);
    }
    assert_eq!(wire.connection.verdict(), Verdict::GaveUp(GiveUp::LostTooOften));
    assert_eq!(wire.found.counts.gave_up(GiveUp::LostTooOften), 1);
}
