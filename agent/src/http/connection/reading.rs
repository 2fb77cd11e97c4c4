//! Bytes of one direction, piece by piece: to heads, over bodies, and back into step after a loss.

use super::{Connection, Role, Verdict};
use crate::http::body::{Body, Step};
use crate::http::counts::{GiveUp, Loss};
use crate::http::exchange::{Found, Transfer};
use crate::http::head::{self, Parsed};
use crate::http::sniff::{Beginning, begins_method, has_known_method, sniff, without_empty_lines};
use crate::http::stream::{PartialHead, Rest, State};
use crate::http::{Chunk, Direction, MAX_HEAD_BYTES, Side};

impl Connection {
    /// Goes on with captured bytes; returns how many were used. None only if the state changed.
    pub(super) fn bytes(&mut self, rest: &Rest<'_>, found: &mut Found) -> usize {
        match self.stream(rest.direction()).state {
            State::Lost => self.look(rest, found),
            State::Between => self.begin(rest, found),
            State::Head(_) => self.go_on(rest, found),
            State::Body(_) => self.body(rest, found),
        }
    }

    /// Goes on with the bytes of a chunk that were not captured.
    pub(super) fn unseen(&mut self, chunk: &Chunk<'_>, found: &mut Found) {
        let direction = chunk.direction;
        let owed = self.is_owed(direction);
        match &mut self.stream(direction).state {
            State::Lost if !owed => {}
            State::Lost | State::Between | State::Head(_) => {
                self.lose(direction, Loss::HeadUncaptured, found);
            }
            State::Body(body) => {
                let step = body.unseen(chunk.unseen());
                self.step(chunk, step, found);
                if self.may_hide_a_response(direction) {
                    self.lose(direction, Loss::HeadUncaptured, found);
                }
                // What follows the body may be a head.
                if step.over && step.used < chunk.unseen() && self.is_followed() {
                    self.lose(direction, Loss::HeadUncaptured, found);
                }
            }
        }
    }

    /// Whether bytes of a body whose end cannot be told may be those of the next response: one is
    /// due, so the client pipelines.
    fn may_hide_a_response(&self, direction: Direction) -> bool {
        self.role(direction) == Some(Role::Responses)
            && self.streams[direction as usize].is_unmarked()
            && self.queue.is_due()
    }

    /// Whether what comes next in this direction must be the response to a request that was accepted.
    fn is_owed(&self, direction: Direction) -> bool {
        self.synced && self.role(direction) == Some(Role::Responses)
    }

    /// Out of step: only a head at the beginning of a call is believed.
    fn look(&mut self, rest: &Rest<'_>, found: &mut Found) -> usize {
        let direction = rest.direction();
        let owed = self.is_owed(direction);
        let begins = match self.role(direction) {
            _ if !rest.at_start() => false,
            Some(Role::Responses) if owed => may_begin(Role::Responses, rest.bytes),
            known => {
                found_role(rest.bytes).is_some_and(|role| known.is_none_or(|known| known == role))
            }
        };
        if begins {
            self.stream(direction).state = State::Between;
            return 0;
        }
        if owed {
            self.lose(direction, Loss::NotAHead, found);
        }
        rest.bytes.len()
    }

    /// Between messages.
    fn begin(&mut self, rest: &Rest<'_>, found: &mut Found) -> usize {
        let direction = rest.direction();
        let bytes = without_empty_lines(rest.bytes);
        let skipped = rest.bytes.len() - bytes.len();
        if bytes.is_empty() {
            return skipped;
        }
        if !self.knows_role(direction, bytes, found) {
            if self.is_followed() {
                self.keep(direction, bytes, Transfer::new(rest.position(), rest.chunk), found);
            }
            return rest.bytes.len();
        }
        if self.role(direction) == Some(Role::Requests) && !self.accepts(rest, found) {
            return rest.bytes.len();
        }
        let position = rest.position().saturating_add(skipped as u64);
        let transfer = Transfer::new(position, rest.chunk);
        if let Some(used) = self.head(direction, bytes, transfer, found) {
            return skipped + used;
        }
        self.keep(direction, bytes, transfer, found);
        rest.bytes.len()
    }

    /// In a head whose beginning is kept.
    fn go_on(&mut self, rest: &Rest<'_>, found: &mut Found) -> usize {
        let direction = rest.direction();
        let state = &mut self.stream(direction).state;
        let State::Head(kept) = std::mem::replace(state, State::Between) else { return 0 };
        let PartialHead { mut bytes, transfer } = *kept;
        let before = bytes.len();
        let room = MAX_HEAD_BYTES.saturating_sub(before);
        bytes.extend_from_slice(&rest.bytes[..rest.bytes.len().min(room)]);
        let known = self.knows_role(direction, &bytes, found);
        if !self.is_followed() {
            return rest.bytes.len();
        }
        if known
            && head::has_end(&bytes, before)
            && let Some(used) = self.head(direction, &bytes, transfer, found)
        {
            return used.saturating_sub(before);
        }
        self.keep_all(direction, bytes, transfer, found);
        rest.bytes.len()
    }

    /// Whether it is known what flows in this direction; if these first bytes are no HTTP, the
    /// connection is given up.
    fn knows_role(&mut self, direction: Direction, bytes: &[u8], found: &mut Found) -> bool {
        if self.role(direction).is_some() {
            return true;
        }
        self.side =
            match (sniff(bytes), direction) {
                (Beginning::Request, Direction::Sent)
                | (Beginning::Response, Direction::Received) => Some(Side::Client),
                (Beginning::Request, Direction::Received)
                | (Beginning::Response, Direction::Sent) => Some(Side::Server),
                (Beginning::Undecided, _) => None,
                (Beginning::Other(reason), _) => {
                    self.give_up(reason, found);
                    None
                }
            };
        if self.side.is_some() {
            self.verdict = Verdict::Http;
        }
        self.side.is_some()
    }

    fn keep(&mut self, at: Direction, bytes: &[u8], transfer: Transfer, found: &mut Found) {
        let most = bytes.len().min(MAX_HEAD_BYTES);
        self.keep_all(at, bytes[..most].to_vec(), transfer, found);
    }

    fn keep_all(&mut self, at: Direction, bytes: Vec<u8>, transfer: Transfer, found: &mut Found) {
        if bytes.len() >= MAX_HEAD_BYTES {
            self.lose(at, Loss::HeadTooLong, found);
        } else {
            self.stream(at).state = State::Head(Box::new(PartialHead { bytes, transfer }));
        }
    }

    /// Parses a head and takes it in. Returns how many bytes were its own; `None` if it is not whole.
    fn head(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        transfer: Transfer,
        found: &mut Found,
    ) -> Option<usize> {
        match self.role(direction)? {
            Role::Requests => match head::request(bytes) {
                Parsed::Message { message, used } => {
                    self.request(direction, message, transfer, found);
                    return Some(used);
                }
                Parsed::Incomplete => return None,
                Parsed::Malformed => {}
            },
            Role::Responses => match head::response(bytes) {
                Parsed::Message { message, used } => {
                    self.response(direction, &message, transfer, found);
                    return Some(used);
                }
                Parsed::Incomplete => return None,
                Parsed::Malformed => {}
            },
        }
        match sniff(bytes) {
            Beginning::Request | Beginning::Response => {
                self.give_up(GiveUp::MalformedHead, found);
            }
            Beginning::Undecided | Beginning::Other(_) => {
                self.lose(direction, Loss::NotAHead, found);
            }
        }
        Some(bytes.len())
    }

    /// In a body.
    fn body(&mut self, rest: &Rest<'_>, found: &mut Found) -> usize {
        let direction = rest.direction();
        if rest.at_start() && self.body_ended_before(direction, rest.bytes) {
            self.stream(direction).state = State::Between;
            self.part_over(direction, found);
            return 0;
        }
        if rest.at_start() && self.is_unexpected(direction, rest.bytes) {
            self.lose(direction, Loss::ResponseWithoutRequest, found);
            return rest.bytes.len();
        }
        let bytes = match self.may_hide_a_response(direction) {
            true => to_next_response(rest.bytes),
            false => rest.bytes,
        };
        let State::Body(body) = &mut self.stream(direction).state else { return 0 };
        match body.bytes(bytes) {
            Ok(step) if bytes.len() < rest.bytes.len() => {
                self.step(rest.chunk, Step { over: true, ..step }, found);
                bytes.len()
            }
            Ok(step) => {
                self.step(rest.chunk, step, found);
                usize::try_from(step.used).expect("no more than the bytes here")
            }
            Err(_) => {
                self.give_up(GiveUp::BadChunk, found);
                rest.bytes.len()
            }
        }
    }

    /// Whether a head at the beginning of a call tells that the body before it is over, which no
    /// byte of its own told.
    fn body_ended_before(&self, direction: Direction, bytes: &[u8]) -> bool {
        let stream = &self.streams[direction as usize];
        let Some(role) = self.role(direction) else { return false };
        let possible = match (&stream.state, role) {
            // A response to another request, which came at least in part.
            (State::Body(Body::Unmarked), Role::Responses) => {
                let requests = &self.streams[direction.other() as usize];
                self.queue.is_due() || matches!(requests.state, State::Head(_))
            }
            // A request after the response to this one has begun.
            (State::Body(Body::Unmarked), Role::Requests) => {
                !stream.attached || self.queue.back().is_some_and(|last| last.response.is_some())
            }
            // The client asked whether to send a body, and was told not to.
            (State::Body(Body::Length(_) | Body::CHUNKED), Role::Requests) => {
                self.queue.back().is_some_and(|last| {
                    let request = &last.request;
                    stream.attached
                        && request.expects
                        && request.transfer.body_bytes == 0
                        && last.response.is_some()
                })
            }
            _ => false,
        };
        possible && may_begin(role, bytes)
    }

    /// Whether a response that begins here, within a body whose end cannot be told, may be that to a
    /// request that was lost, or that we are not told of yet.
    fn is_unexpected(&self, direction: Direction, bytes: &[u8]) -> bool {
        self.role(direction) == Some(Role::Responses)
            && self.streams[direction as usize].is_unmarked()
            && may_begin(Role::Responses, bytes)
    }

    /// Books what some bytes were to the body that flows.
    fn step(&mut self, chunk: &Chunk<'_>, step: Step, found: &mut Found) {
        let stream = self.stream(chunk.direction);
        let (attached, unmarked) = (stream.attached, stream.is_unmarked());
        if let Some(role) = self.role(chunk.direction).filter(|_| attached)
            && let Some(transfer) = self.queue.transfer(role)
        {
            transfer.body_bytes = transfer.body_bytes.saturating_add(step.content);
            transfer.body_exact &= !unmarked;
            transfer.last_ns = transfer.last_ns.max(chunk.boot_ns);
        }
        if step.over {
            self.message_over(chunk.direction, found);
        }
    }
}

/// The bytes before a response that begins right behind the end of a chunked body.
fn to_next_response(bytes: &[u8]) -> &[u8] {
    const END: &[u8] = b"0\r\n\r\n";
    let mut ends = memchr::memmem::find_iter(bytes, END).map(|at| at + END.len());
    let end = ends.find(|end| sniff(&bytes[*end..]) == Beginning::Response);
    &bytes[..end.unwrap_or(bytes.len())]
}

/// Whether a message begins with these bytes, as far as they go.
pub(super) fn may_begin(role: Role, bytes: &[u8]) -> bool {
    match sniff(bytes) {
        Beginning::Undecided => match role {
            Role::Requests => begins_method(bytes),
            Role::Responses => without_empty_lines(bytes).starts_with(b"H"),
        },
        _ => found_role(bytes) == Some(role),
    }
}

/// What these bytes begin with, if there is no doubt: what looks like a method may be the end of one.
fn found_role(bytes: &[u8]) -> Option<Role> {
    let role = Role::of(sniff(bytes))?;
    (role == Role::Responses || has_known_method(bytes)).then_some(role)
}
