//! Connections that end, and exchanges that do not.

use super::*;
use Direction::Sent;

#[test]
fn an_exchange_cut_off_says_by_whom_and_how_far_it_came() {
    let check = |answer: &str, expected: &str| {
        let mut wire = Wire::new();
        wire.received(&get("/1"));
        wire.received(&get("/2"));
        wire.sent(answer);
        wire.close(Closer::Peer, true);
        wire.check(expected);
        assert_eq!(wire.in_flight(), 0);
    };
    check("", "GET /1 0 -> - NoResponse(Peer)\nGET /2 0 -> - NoResponse(Peer)");
    check("HTTP/1.1 20", "GET /1 0 -> - Aborted(Peer)\nGET /2 0 -> - NoResponse(Peer)");
    check(&OK[..OK.len() - 1], "GET /1 0 -> 200 1 Aborted(Peer)\nGET /2 0 -> - NoResponse(Peer)");
    check(
        "HTTP/1.1 200 OK\r\n\r\nabc",
        "GET /1 0 -> 200 3 Aborted(Peer)\nGET /2 0 -> - NoResponse(Peer)",
    );
    check(OK, "GET /1 0 -> 200 2 Complete\nGET /2 0 -> - NoResponse(Peer)");
}

#[test]
fn an_answered_request_whose_body_never_came_is_complete() {
    let mut wire = Wire::new();
    wire.received("POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc");
    wire.sent(&empty(413));
    wire.close(Closer::Observed, false);
    wire.check("POST / 3 -> 413 0 Complete");
    assert!(!wire.found.exchanges[0].request.transfer.whole);
}

#[test]
fn a_request_head_that_never_became_whole_is_counted() {
    let mut wire = Wire::new();
    wire.received("GET / HT");
    wire.close(Closer::Peer, false);
    assert_eq!((wire.lines().as_str(), wire.losses().as_str()), ("", "head_unfinished"));
}

#[test]
fn what_does_not_move_for_too_long_is_let_go() {
    let patience = Patience { unmarked_ns: 1000, exchange_ns: 5000 };
    let mut wire = Wire::new();
    wire.received(&get("/slow"));
    wire.received("GET /loris HTTP/1.1\r\n");
    wire.connection.expire(4000, patience, &mut wire.found);
    assert_eq!(wire.in_flight(), 1);
    wire.connection.expire(6000, patience, &mut wire.found);
    wire.check("GET /slow 0 -> - LostBytes");
    assert_eq!(wire.losses(), "head_unfinished");
    let mut wire = Wire::new();
    wire.received(&get("/slow"));
    wire.connection.expire(6000, patience, &mut wire.found);
    wire.check("GET /slow 0 -> - TimedOut");
    assert_eq!((wire.losses().as_str(), wire.in_flight()), ("timed_out", 0));
    wire.sent(OK);
    wire.received(&get("/next"));
    wire.sent(OK);
    wire.check("GET /slow 0 -> - TimedOut\nGET /next 0 -> 200 2 Complete");
}

#[test]
fn a_body_that_still_flows_is_not_quiet() {
    let patience = Patience { unmarked_ns: 1000, exchange_ns: 5000 };
    let mut wire = Wire::new();
    wire.received(GET);
    wire.sent("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    wire.now_ns = 10_000;
    wire.call(Sent, b"", 999, false);
    wire.connection.expire(12_000, patience, &mut wire.found);
    wire.check("");
}
