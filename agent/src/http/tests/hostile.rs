//! What is no HTTP, what parsers read in different ways, and what is only meant to cost memory.

use super::*;
use proptest::prelude::*;

#[track_caller]
fn check_given_up(wire: &Wire, reason: GiveUp) {
    assert_eq!(wire.connection.verdict(), Verdict::GaveUp(reason));
    assert_eq!(wire.found.counts.gave_up(reason), 1);
    assert_eq!(wire.in_flight(), 0);
}

#[test]
fn other_protocols_are_given_up_after_their_first_bytes() {
    for (bytes, reason) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", GiveUp::NotHttp),
        ("\u{16}\u{3}\u{1}", GiveUp::Tls),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", GiveUp::Http2),
        ("*1\r\n$4\r\nPING\r\n", GiveUp::NotHttp),
    ] {
        let mut wire = Wire::new();
        wire.sent(bytes);
        check_given_up(&wire, reason);
        let mut wire = Wire::new();
        bytes.split("").for_each(|byte| wire.received(byte));
        check_given_up(&wire, reason);
    }
}

#[test]
fn a_connection_that_was_open_before_is_given_up_after_a_while() {
    let mut wire = Wire::opened_at(0);
    for _ in 0..32 {
        assert_eq!(wire.connection.verdict(), Verdict::Undecided);
        wire.sent("SELECT 1");
        wire.received("1");
    }
    check_given_up(&wire, GiveUp::NotHttp);
    assert_eq!(wire.losses(), "");
}

#[test]
fn requests_whose_end_parsers_see_in_different_places_end_the_connections_account() {
    for (fields, reason) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", GiveUp::LengthAndCoding),
        ("Content-Length: 5\r\nContent-Length: 6", GiveUp::TwoLengths),
        ("Content-Length: +5", GiveUp::BadLength),
        ("Content-Length: 5\r\n 6", GiveUp::BadLength),
        ("Content-Length : 5", GiveUp::MalformedHead),
        ("Transfer-Encoding: chunked, identity", GiveUp::UnknownCoding),
        ("Transfer-Encoding: \u{b}chunked", GiveUp::MalformedHead),
    ] {
        let mut wire = Wire::new();
        wire.received(&get("/before"));
        wire.received(&format!("POST /evil HTTP/1.1\r\n{fields}\r\n\r\n0\r\n\r\nGET /smuggled"));
        check_given_up(&wire, reason);
        let evil = wire.found.exchanges.iter().filter(|one| one.request.path() == "/evil");
        assert!(evil.clone().all(|one| one.outcome == Outcome::GaveUp(reason)), "{fields}");
        assert_eq!(evil.count(), usize::from(reason != GiveUp::MalformedHead), "{fields}");
    }
}

#[test]
fn a_bad_chunk_size_ends_the_connections_account() {
    let mut wire = Wire::new();
    wire.received("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n");
    wire.check("POST / 0 -> - GaveUp(BadChunk)");
    check_given_up(&wire, GiveUp::BadChunk);
}

#[test]
fn requests_without_answers_are_kept_up_to_a_number() {
    let mut wire = Wire::new();
    for _ in 0..MAX_IN_FLIGHT {
        wire.received(GET);
    }
    assert_eq!(wire.in_flight(), MAX_IN_FLIGHT);
    wire.received(GET);
    check_given_up(&wire, GiveUp::TooManyInFlight);
    assert_eq!(wire.found.exchanges.len(), MAX_IN_FLIGHT);
}

#[test]
fn requests_without_answers_are_kept_up_to_a_size() {
    let mut wire = Wire::new();
    for _ in 0..MAX_IN_FLIGHT {
        wire.received(&get(&format!("/{}", "x".repeat(3000))));
        assert!(wire.connection.memory_bytes() < 256 << 10);
    }
    check_given_up(&wire, GiveUp::TooManyInFlight);
}

#[test]
fn an_idle_connection_is_small() {
    assert!(Wire::new().connection.memory_bytes() <= 320, "{}", size_of::<Connection>());
}

/// Pieces of messages, and bytes.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let text = prop::sample::select(vec![
        GET,
        OK,
        "POST / HTTP/1.1\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 7\r\n",
        "\r\n",
        "5\r\nabcde\r\n",
        "0\r\n\r\n",
        " folded\r\n",
        "x",
    ]);
    prop_oneof![
        8 => text.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_that_a_connection_carries_panics_or_takes_much_memory(
        opened_ns in 0_u64..2,
        calls in prop::collection::vec(
            (any::<bool>(), prop::collection::vec(piece(), 0..4), 0_u64..4, any::<bool>()), 0..80),
    ) {
        let mut wire = Wire::opened_at(opened_ns);
        for (number, (sent, pieces, unseen, mark)) in calls.into_iter().enumerate() {
            let direction = if sent { Direction::Sent } else { Direction::Received };
            if number % 17 == 16 {
                wire.lost(direction, unseen);
            }
            let unseen = if unseen == 3 { 3 } else { 0 };
            wire.call(direction, &pieces.concat(), unseen, mark);
            prop_assert!(wire.connection.memory_bytes() < 64 << 10);
            prop_assert!(wire.in_flight() <= MAX_IN_FLIGHT);
        }
        wire.connection.expire(u64::MAX, Patience::default(), &mut wire.found);
        prop_assert_eq!(wire.in_flight(), 0);
        wire.close(Closer::Unknown, false);
        prop_assert_eq!(wire.in_flight(), 0);
    }
}
