//! Exchanges that no byte ends: the connection closes, or nothing moves any more.

use super::{Connection, Role};
use crate::http::body::Body;
use crate::http::counts::Loss;
use crate::http::exchange::{Found, Outcome};
use crate::http::stream::State;
use crate::http::{Close, Direction};

/// How long what did not end is waited for, in nanoseconds without a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a response whose end cannot be told, and for the request of a response that came first.
    pub unmarked_ns: u64,
    /// For any other exchange: some servers think for a long time.
    pub exchange_ns: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { unmarked_ns: 10_000_000_000, exchange_ns: 3_600_000_000_000 }
    }
}

impl Connection {
    /// Ends everything. No chunk follows.
    pub fn close(&mut self, close: Close, found: &mut Found) {
        if !self.is_followed() {
            return;
        }
        if !self.held.is_empty() {
            self.drop_held(found);
        }
        let (requests, responses) =
            (self.direction(Role::Requests), self.direction(Role::Responses));
        let unfinished = matches!(self.streams[requests as usize].state, State::Head(_));
        if unfinished && self.side.is_some() {
            found.counts.lose(Loss::HeadUnfinished);
        }
        self.end_open_response(responses, close);
        let mut begun = matches!(self.streams[responses as usize].state, State::Head(_));
        while let Some(front) = self.queue.front() {
            let outcome = match front.response {
                _ if front.response_over => Outcome::Complete,
                Some(_) => Outcome::Aborted(close.by),
                None if begun => Outcome::Aborted(close.by),
                None => Outcome::NoResponse(close.by),
            };
            self.pop(outcome, found);
            // Only the first of those without a response can have.
            begun &= matches!(outcome, Outcome::Complete);
        }
    }

    /// A body that ends with the connection has ended, unless that was cut off.
    fn end_open_response(&mut self, responses: Direction, close: Close) {
        let stream = self.stream(responses);
        let State::Body(body @ (Body::UntilClose | Body::Unmarked)) = stream.state else { return };
        if !close.reset
            && stream.attached
            && let Some(front) = self.queue.front_mut()
            && let Some(response) = &mut front.response
        {
            response.transfer.whole = body == Body::UntilClose;
            front.response_over = true;
        }
    }

    /// Ends what has not moved for too long. To be called now and then.
    pub fn expire(&mut self, now_ns: u64, patience: Patience, found: &mut Found) {
        let quiet_ns = now_ns.saturating_sub(self.last_ns);
        if !self.is_followed() || quiet_ns < patience.unmarked_ns.min(patience.exchange_ns) {
            return;
        }
        if quiet_ns >= patience.unmarked_ns {
            self.drop_held(found);
            let responses = self.direction(Role::Responses);
            if self.side.is_some() && self.streams[responses as usize].is_unmarked() {
                // Its stream stays in the body, in case it was only slow.
                self.part_over(responses, found);
            }
        }
        if quiet_ns >= patience.exchange_ns {
            self.time_out(found);
        }
    }

    fn time_out(&mut self, found: &mut Found) {
        for direction in [Direction::Sent, Direction::Received] {
            if matches!(self.stream(direction).state, State::Head(_)) {
                self.lose(direction, Loss::HeadUnfinished, found);
            }
        }
        let waiting = self.queue.len();
        for _ in 0..waiting {
            found.counts.lose(Loss::TimedOut);
            self.pop(Outcome::TimedOut, found);
        }
        if waiting > 0 {
            self.streams.iter_mut().for_each(|stream| stream.attached = false);
            self.synced = false;
        }
    }
}
