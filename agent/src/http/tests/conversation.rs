//! Conversations whose truth is known, cut into calls at random, captured in part, with calls lost:
//! what comes out is the truth, or is counted as lost.

use proptest::prelude::*;

use super::*;

/// How a message states the end of its body.
#[derive(Clone, Debug)]
enum Framed {
    /// It has none.
    Nothing,
    Length(usize),
    /// Sizes of the chunks, none of them 0.
    Chunked(Vec<usize>, bool),
    UntilClose(usize),
}

#[derive(Clone, Debug)]
struct Message {
    head: usize,
    bytes: Vec<u8>,
    content: u64,
}

#[derive(Clone, Debug)]
struct Spoken {
    method: &'static str,
    request: Framed,
    interim: usize,
    response: Framed,
    padding: usize,
}

/// One call as it is told of.
#[derive(Clone, Debug)]
struct Call {
    direction: Direction,
    bytes: Vec<u8>,
    captured: usize,
    lost: bool,
}

fn body(framed: &Framed) -> (String, Vec<u8>, u64) {
    match framed {
        Framed::Nothing => (String::new(), Vec::new(), 0),
        Framed::Length(length) => {
            (format!("Content-Length: {length}\r\n"), vec![b'x'; *length], *length as u64)
        }
        Framed::UntilClose(length) => (String::new(), vec![b'z'; *length], *length as u64),
        Framed::Chunked(sizes, trailer) => {
            let mut bytes = Vec::new();
            for size in sizes {
                bytes.extend(format!("{size:x}\r\n{}\r\n", "y".repeat(*size)).into_bytes());
            }
            let end = if *trailer { "0\r\nDigest: 1\r\n\r\n" } else { "0\r\n\r\n" };
            bytes.extend_from_slice(end.as_bytes());
            let content = sizes.iter().sum::<usize>() as u64;
            ("Transfer-Encoding: chunked\r\n".into(), bytes, content)
        }
    }
}

impl Spoken {
    fn request(&self, number: usize) -> Message {
        let (field, body, content) = body(&self.request);
        let Self { method, padding, .. } = self;
        let padding = "p".repeat(*padding);
        let head = format!("{method} /{number} HTTP/1.1\r\nHost: h\r\nX: {padding}\r\n{field}\r\n");
        Message { head: head.len(), bytes: [head.as_bytes(), &body].concat(), content }
    }

    fn response(&self, number: usize) -> Message {
        let (field, mut body, mut content) = body(&self.response);
        if self.method == "HEAD" {
            (body, content) = (Vec::new(), 0);
        }
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n".repeat(self.interim);
        let status = status(self, number);
        let head = format!("{interim}HTTP/1.1 {status} Some reason\r\n{field}\r\n");
        Message { head: head.len(), bytes: [head.as_bytes(), &body].concat(), content }
    }
}

/// Tells whose response it is.
fn status(spoken: &Spoken, number: usize) -> usize {
    match spoken.response {
        Framed::Nothing if spoken.method != "HEAD" => 204,
        _ => 400 + number,
    }
}

fn sizes() -> impl Strategy<Value = Framed> {
    let chunks = (prop::collection::vec(1_usize..90, 0..5), any::<bool>());
    prop_oneof![
        3 => Just(Framed::Nothing),
        3 => (0_usize..200).prop_map(Framed::Length),
        2 => chunks.prop_map(|(sizes, trailer)| Framed::Chunked(sizes, trailer)),
    ]
}

fn spoken() -> impl Strategy<Value = Spoken> {
    let method = prop::sample::select(vec!["GET", "POST", "HEAD", "PATCH"]);
    (method, sizes(), 0_usize..3, sizes(), 0_usize..60).prop_map(
        |(method, request, interim, response, padding)| Spoken {
            method,
            request,
            interim,
            response,
            padding,
        },
    )
}

/// Numbers that decide where calls end and what of them is captured.
fn choices() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(any::<usize>(), 8..64)
}

/// Cuts the messages that one side says in one go into calls. Of each call at least what belongs to a
/// head is captured; all of it if `whole`.
fn cut(direction: Direction, messages: &[Message], whole: bool, choice: &mut Choice) -> Vec<Call> {
    let bytes: Vec<u8> = messages.iter().flat_map(|message| message.bytes.clone()).collect();
    let mut in_head = Vec::new();
    for message in messages {
        in_head.extend((0..message.bytes.len()).map(|at| at < message.head));
    }
    let (mut calls, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let most = [1, 7, 60, 1000][choice.below(4)];
        let end = (at + 1 + choice.below(most)).min(bytes.len());
        let heads = in_head[at..end].iter().rposition(|head| *head).map_or(0, |last| last + 1);
        let captured = if whole { end - at } else { heads + choice.below(end - at - heads + 1) };
        let bytes = bytes[at..end].to_vec();
        calls.push(Call { direction, bytes, captured, lost: false });
        at = end;
    }
    calls
}

/// Goes round in the numbers.
struct Choice(Vec<usize>, usize);

impl Choice {
    fn below(&mut self, bound: usize) -> usize {
        self.1 += 1;
        let number = self.0[self.1 % self.0.len()].wrapping_add(self.1.wrapping_mul(0x9e37));
        (number >> 7) % bound
    }
}

fn tell(wire: &mut Wire, calls: &[Call]) {
    for call in calls {
        if call.lost {
            wire.lost(call.direction, call.bytes.len() as u64);
            continue;
        }
        let unseen = (call.bytes.len() - call.captured) as u64;
        let mark = call.bytes.ends_with(b"\r\n0\r\n\r\n");
        wire.call(call.direction, &call.bytes[..call.captured], unseen, mark);
    }
}

/// The exchange is one that was spoken; returns which.
fn check_true(exchange: &Exchange, all: &[Spoken], lossless: bool) -> usize {
    let number: usize = exchange.request.path()[1..].parse().expect("a number");
    let spoken = &all[number];
    let (request, response) = (spoken.request(number), spoken.response(number));
    assert_eq!(exchange.request.method(), spoken.method);
    check_transfer(&exchange.request.transfer, &request, lossless);
    let answer = exchange.response.expect("complete");
    assert_eq!(usize::from(answer.status), status(spoken, number));
    check_transfer(&answer.transfer, &response, lossless);
    number
}

/// Where the end cannot be told, nor what is lost behind it, nothing is sure about the size.
fn check_transfer(transfer: &Transfer, message: &Message, lossless: bool) {
    let on_the_wire = (message.bytes.len() - message.head) as u64;
    if transfer.body_exact {
        assert_eq!(transfer.body_bytes, message.content);
    } else if lossless {
        assert!((message.content..=on_the_wire).contains(&transfer.body_bytes));
    }
    assert!(transfer.first_ns <= transfer.last_ns);
}

fn sides(server: bool) -> (Direction, Direction) {
    match server {
        true => (Direction::Received, Direction::Sent),
        false => (Direction::Sent, Direction::Received),
    }
}

fn check_all_complete(wire: &Wire, all: &[Spoken]) {
    assert_eq!(wire.losses(), "", "{}", wire.lines());
    assert_eq!(wire.found.exchanges.len(), all.len(), "{}", wire.lines());
    for (number, exchange) in wire.found.exchanges.iter().enumerate() {
        assert_eq!(exchange.outcome, Outcome::Complete);
        assert_eq!(check_true(exchange, all, true), number);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn without_pipelining_heads_are_enough(
        mut all in prop::collection::vec(spoken(), 1..8),
        numbers in choices(),
        server in any::<bool>(),
        until_close in any::<bool>(),
    ) {
        let (mut wire, mut choice) = (Wire::new(), Choice(numbers, 0));
        let (requests, responses) = sides(server);
        if until_close && let Some(last) = all.last_mut().filter(|last| last.method != "HEAD") {
            last.response = Framed::UntilClose(500);
        }
        for (number, spoken) in all.iter_mut().enumerate() {
            // No length means until the end.
            if matches!(spoken.response, Framed::Nothing) && spoken.method == "HEAD" {
                spoken.response = Framed::Length(77);
            }
            tell(&mut wire, &cut(requests, &[spoken.request(number)], false, &mut choice));
            tell(&mut wire, &cut(responses, &[spoken.response(number)], false, &mut choice));
        }
        wire.close(Closer::Peer, false);
        check_all_complete(&wire, &all);
    }

    #[test]
    fn with_pipelining_what_was_captured_in_full_is_all_told(
        all in prop::collection::vec(spoken(), 1..20),
        numbers in choices(),
        server in any::<bool>(),
    ) {
        let (mut wire, mut choice) = (Wire::new(), Choice(numbers, 0));
        let (requests, responses) = sides(server);
        let mut number = 0;
        while number < all.len() {
            let batch = number..(number + 1 + choice.below(5)).min(all.len());
            let said: Vec<_> = batch.clone().map(|number| all[number].request(number)).collect();
            let answered: Vec<_> = batch.clone().map(|number| all[number].response(number)).collect();
            tell(&mut wire, &cut(requests, &said, true, &mut choice));
            tell(&mut wire, &cut(responses, &answered, true, &mut choice));
            number = batch.end;
        }
        wire.close(Closer::Peer, false);
        check_all_complete(&wire, &all);
        let mut position = 0;
        for (number, exchange) in wire.found.exchanges.iter().enumerate() {
            prop_assert_eq!(exchange.request.transfer.position, position);
            position += all[number].request(number).bytes.len() as u64;
        }
    }

    #[test]
    fn the_answer_may_overtake_the_end_of_the_request_on_a_client(
        all in prop::collection::vec(spoken(), 1..8),
        numbers in choices(),
    ) {
        let (mut wire, mut choice) = (Wire::new(), Choice(numbers, 0));
        let (requests, responses) = sides(false);
        for (number, spoken) in all.iter().enumerate() {
            let mut calls = cut(requests, &[spoken.request(number)], true, &mut choice);
            let last = calls.pop();
            let mut answer = cut(responses, &[spoken.response(number)], true, &mut choice);
            // Of the first one it may not be clear that it is an answer.
            let ahead = if number == 0 { 0 } else { answer.len().min(choice.below(4)) };
            calls.extend(answer.drain(..ahead));
            calls.extend(last.into_iter().chain(answer));
            tell(&mut wire, &calls);
        }
        wire.close(Closer::Peer, false);
        check_all_complete(&wire, &all);
    }

    #[test]
    fn what_is_lost_is_counted_and_never_taken_for_something_else(
        mut all in prop::collection::vec(spoken(), 4..20),
        numbers in choices(),
        server in any::<bool>(),
        pipelines in any::<bool>(),
        seldom in 2_usize..30,
    ) {
        let (mut wire, mut choice) = (Wire::new(), Choice(numbers, 0));
        let (requests, responses) = sides(server);
        let mut number = 0;
        for spoken in &mut all {
            // An end of an upload that nobody saw may hide the next one.
            if pipelines && matches!(spoken.request, Framed::Chunked(..)) {
                spoken.request = Framed::Nothing;
            }
        }
        while number < all.len() {
            let size = match (pipelines, number) {
                (false, _) => 1,
                // Shows that the client pipelines, which is taken for granted below.
                (true, 0) => 2,
                (true, _) => 1 + choice.below(4),
            };
            let batch = number..(number + size).min(all.len());
            let said: Vec<_> = batch.clone().map(|number| all[number].request(number)).collect();
            let answered: Vec<_> = batch.clone().map(|number| all[number].response(number)).collect();
            let mut calls = cut(requests, &said, number == 0, &mut choice);
            calls.extend(cut(responses, &answered, false, &mut choice));
            // What is lost last, nobody can know of.
            let calm = number == 0 || batch.end == all.len();
            for call in calls.iter_mut().filter(|_| !calm) {
                call.lost = choice.below(seldom) == 0;
                // A head that goes on behind what was captured is a long one.
                if choice.below(seldom) == 0 && call.captured > 16 {
                    call.captured /= 2;
                }
            }
            tell(&mut wire, &calls);
            number = batch.end;
        }
        wire.close(Closer::Peer, false);
        let complete = wire.found.exchanges.iter().filter(|one| one.outcome == Outcome::Complete);
        let mut told: Vec<usize> = complete.map(|exchange| check_true(exchange, &all, false)).collect();
        prop_assert!(told.is_sorted(), "{}", wire.lines());
        told.dedup();
        if told.len() < all.len() {
            let counts = &wire.found.counts;
            prop_assert!(counts.all_lost() + counts.lost_bytes > 0, "{}", wire.lines());
        }
    }
}
