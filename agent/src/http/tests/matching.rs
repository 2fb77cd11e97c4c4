//! Requests and responses in step: keep-alive, pipelining, interim responses, cuts at any byte.

use super::*;

#[test]
fn a_server_and_a_client_see_the_same_exchange() {
    let mut server = Wire::new();
    server.received(GET);
    server.sent(OK);
    server.check("GET / 0 -> 200 2 Complete");
    assert_eq!(server.found.exchanges[0].side, Side::Server);
    let mut client = Wire::new();
    client.sent(GET);
    client.received(OK);
    client.check("GET / 0 -> 200 2 Complete");
    assert_eq!(client.found.exchanges[0].side, Side::Client);
    assert_eq!(client.connection.verdict(), Verdict::Http);
}

#[test]
fn times_are_those_of_the_calls_with_the_first_and_the_last_byte() {
    let mut wire = Wire::new();
    wire.received("POST /a HTTP/1.1\r\nContent-Le");
    wire.received("ngth: 4\r\n\r\nab");
    assert_eq!(wire.in_flight(), 1);
    wire.received("cd");
    wire.sent("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n");
    wire.sent("o");
    assert_eq!(wire.in_flight(), 1);
    wire.sent("k");
    assert_eq!(wire.in_flight(), 0);
    wire.check("POST /a 4 -> 201 2 Complete");
    let exchange = &wire.found.exchanges[0];
    let request = &exchange.request.transfer;
    assert_eq!((request.first_ns, request.last_ns), (101, 103));
    assert_eq!((request.waited_ns(), request.tid, request.whole), (Some(1), 7, true));
    let response = exchange.response.expect("a response").transfer;
    assert_eq!((response.first_ns, response.last_ns), (104, 106));
    assert_eq!((response.waited_ns(), response.whole), (None, true));
}

#[test]
fn pipelined_requests_get_their_responses_in_order() {
    let mut wire = Wire::new();
    wire.received(&[get("/1"), get("/2"), get("/3")[..20].to_owned()].concat());
    wire.received(&get("/3")[20..]);
    assert_eq!(wire.in_flight(), 3);
    wire.sent(&[empty(201), empty(202)[..9].to_owned()].concat());
    wire.sent(&[&empty(202)[9..], &empty(203)].concat());
    wire.check(
        "GET /1 0 -> 201 0 Complete
         GET /2 0 -> 202 0 Complete
         GET /3 0 -> 203 0 Complete",
    );
    let positions: Vec<u64> =
        wire.found.exchanges.iter().map(|exchange| exchange.request.transfer.position).collect();
    assert_eq!(positions, [0, 28, 56]);
}

#[test]
fn a_connection_goes_on_after_any_number_of_exchanges() {
    let mut wire = Wire::new();
    for _ in 0..1000 {
        wire.received(GET);
        wire.sent(OK);
    }
    assert_eq!(wire.found.exchanges.len(), 1000);
    assert_eq!(wire.losses(), "");
    assert!(wire.connection.memory_bytes() < 512, "{}", wire.connection.memory_bytes());
}

#[test]
fn heads_may_be_cut_at_every_byte() {
    for cut in 1..GET.len() {
        let mut wire = Wire::new();
        wire.received(&GET[..cut]);
        wire.received(&GET[cut..]);
        wire.sent(&OK[..cut]);
        wire.sent(&OK[cut..]);
        wire.check("GET / 0 -> 200 2 Complete");
    }
    let mut wire = Wire::new();
    GET.split("").for_each(|byte| wire.received(byte));
    OK.split("").for_each(|byte| wire.sent(byte));
    wire.check("GET / 0 -> 200 2 Complete");
}

#[test]
fn empty_lines_between_messages_mean_nothing() {
    let mut wire = Wire::new();
    wire.received("\r\n");
    wire.received(&["\n", GET, "\r\n\r\n"].concat());
    wire.sent(OK);
    wire.received(GET);
    wire.sent(&["\r\n", OK].concat());
    wire.check("GET / 0 -> 200 2 Complete\nGET / 0 -> 200 2 Complete");
    assert_eq!(wire.found.exchanges[0].request.transfer.position, 3);
}

#[test]
fn interim_responses_are_not_the_response() {
    let mut wire = Wire::new();
    wire.received("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    wire.sent("HTTP/1.1 100 Continue\r\n\r\n");
    wire.received("ab");
    wire.sent(&["HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", OK].concat());
    wire.check("POST / 2 -> 200 2 Complete");
}

#[test]
fn a_client_that_was_told_not_to_send_its_body_goes_on_with_the_next_request() {
    let mut wire = Wire::new();
    wire.received("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    wire.sent(&empty(417));
    wire.received(&get("/next"));
    wire.sent(OK);
    wire.check("POST / 0 -> 417 0 Complete\nGET /next 0 -> 200 2 Complete");
    assert!(!wire.found.exchanges[0].request.transfer.whole);
}

#[test]
fn an_early_response_waits_for_the_rest_of_the_request() {
    let mut wire = Wire::new();
    wire.received("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\na");
    wire.sent(&empty(413));
    assert_eq!((wire.in_flight(), wire.found.exchanges.len()), (0, 0));
    wire.received("bcd");
    wire.check("POST / 4 -> 413 0 Complete");
}

#[test]
fn the_answer_to_head_has_no_body_whatever_it_says() {
    let mut wire = Wire::new();
    wire.received("HEAD /a HTTP/1.1\r\n\r\n");
    wire.sent("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    wire.received(GET);
    wire.sent("HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n");
    wire.received(GET);
    wire.sent("HTTP/1.1 204 No Content\r\n\r\n");
    wire.check(
        "HEAD /a 0 -> 200 0 Complete
         GET / 0 -> 304 0 Complete
         GET / 0 -> 204 0 Complete",
    );
    assert_eq!(wire.found.exchanges[0].response.expect("one").content_length, Some(1000));
}

#[test]
fn an_upgraded_connection_carries_no_more_exchanges() {
    let mut wire = Wire::new();
    wire.received("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    wire.sent("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\u{1}\u{2}");
    wire.received(GET);
    wire.close(Closer::Peer, false);
    wire.check("GET /ws 0 -> 101 0 Upgraded");
    assert_eq!(wire.connection.verdict(), Verdict::Upgraded);
    let mut proxy = Wire::new();
    proxy.received("CONNECT a:443 HTTP/1.1\r\n\r\n");
    proxy.sent(&empty(407));
    proxy.received("CONNECT a:443 HTTP/1.1\r\n\r\n");
    proxy.sent("HTTP/1.0 200 Connection established\r\n\r\n");
    proxy.check("CONNECT  0 -> 407 0 Complete\nCONNECT  0 -> 200 0 Upgraded");
}

#[test]
fn a_response_that_overtakes_its_request_waits_for_it() {
    let mut wire = Wire::new();
    wire.received(OK);
    wire.sent(&get("/1"));
    for path in ["/2", "/3"] {
        wire.received("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
        wire.received("ok");
        wire.sent(&get(path));
    }
    wire.check(
        "GET /1 0 -> 200 2 Complete
         GET /2 0 -> 200 2 Complete
         GET /3 0 -> 200 2 Complete",
    );
    assert_eq!(wire.losses(), "");
}

#[test]
fn a_response_that_nobody_asked_for_is_counted_when_the_connection_ends() {
    let mut wire = Wire::new();
    wire.sent(GET);
    wire.received(OK);
    wire.received(&empty(408));
    wire.close(Closer::Peer, false);
    wire.check("GET / 0 -> 200 2 Complete");
    assert_eq!(wire.losses(), "response_without_request");
}
