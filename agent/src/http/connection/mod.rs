//! One connection: its two streams, and the requests that wait for their responses.

mod ending;
mod matching;
mod queue;
mod reading;

use super::chunk::HeldChunk;
use super::exchange::Found;
use super::sniff::{Beginning, sniff};
use super::stream::{Rest, Role, State, Stream};
use super::{Chunk, Direction, GiveUp, Loss, Request, Side};
pub use ending::Patience;
use queue::Queue;
use reading::may_begin;

/// Chunks of a connection that was open before us, in which no head began.
const MAX_STRANGE: u8 = 64;
/// Losses without a whole exchange in between.
const MAX_SETBACKS: u8 = 64;
/// Chunks of responses that wait for their requests, and bytes of them.
const MAX_HELD: usize = 16;
const MAX_HELD_BYTES: usize = 8 << 10;

/// What is known of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Too few bytes yet.
    Undecided,
    /// It carries HTTP/1.x.
    Http,
    /// It did, and carries something else now. Its chunks mean nothing any more.
    Upgraded,
    /// Its chunks mean nothing any more.
    GaveUp(GiveUp),
}

/// What the chunks of one connection have told so far.
pub struct Connection {
    /// By [`Direction`].
    streams: [Stream; 2],
    queue: Queue,
    /// Requests read so far.
    requests: u64,
    /// Chunks of responses whose requests were not told of yet: while a client's thread sends, the
    /// answer may come back, and be read by another thread, before the first has returned.
    held: Vec<HeldChunk>,
    /// Which end this is, once a head was seen.
    side: Option<Side>,
    verdict: Verdict,
    /// Direction of the chunk before.
    last: Option<Direction>,
    last_ns: u64,
    /// It is known which responses are due.
    synced: bool,
    /// It is thought to be known: the first request after a loss, whose response has not begun.
    on_trial: bool,
    /// The client has sent requests before the answers to earlier ones began.
    pipelines: bool,
    /// The bytes before this chunk are missing.
    after_gap: bool,
    strange: u8,
    setbacks: u8,
}

impl Connection {
    /// A connection that was opened then; 0 if that was before anybody looked.
    #[must_use]
    pub fn new(opened_ns: u64) -> Self {
        let fresh = opened_ns > 0;
        let stream = || if fresh { Stream::fresh() } else { Stream::midway() };
        Self {
            streams: [stream(), stream()],
            queue: Queue::default(),
            requests: 0,
            held: Vec::new(),
            side: None,
            verdict: Verdict::Undecided,
            last: None,
            last_ns: opened_ns,
            synced: fresh,
            on_trial: false,
            pipelines: false,
            after_gap: false,
            strange: 0,
            setbacks: 0,
        }
    }

    /// Takes in what a call moved. Chunks of one direction come in the order of the stream.
    pub fn chunk(&mut self, chunk: &Chunk<'_>, found: &mut Found) {
        if !self.is_followed() || chunk.length == 0 {
            return;
        }
        self.last_ns = self.last_ns.max(chunk.boot_ns);
        if self.is_ahead(chunk) {
            self.hold(chunk, found);
        } else {
            self.take(chunk, found);
            if !self.held.is_empty() && self.queue.is_due() {
                for held in std::mem::take(&mut self.held) {
                    self.chunk(&held.chunk(), found);
                }
            }
        }
    }

    /// Whether it is HTTP, and worth more chunks.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Which end of it the process is, once that is known.
    #[must_use]
    pub const fn side(&self) -> Option<Side> {
        self.side
    }

    /// Requests whose responses are not over, oldest first.
    pub fn in_flight(&self) -> impl Iterator<Item = &Request> {
        self.queue.iter().filter(|one| !one.response_over).map(|one| &one.request)
    }

    /// Requests read so far, those that have ended included.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// Requests that have not ended, from this number on.
    pub fn since(&self, number: u64) -> impl Iterator<Item = &Request> {
        self.queue.iter().map(|one| &one.request).filter(move |request| request.number >= number)
    }

    /// Memory that is held, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let streams: usize = self.streams.iter().map(Stream::memory_bytes).sum();
        let held: usize = self.held.iter().map(HeldChunk::memory_bytes).sum();
        size_of::<Self>() + streams + held + self.queue.memory_bytes()
    }

    const fn is_followed(&self) -> bool {
        matches!(self.verdict, Verdict::Undecided | Verdict::Http)
    }

    fn stream(&mut self, direction: Direction) -> &mut Stream {
        &mut self.streams[direction as usize]
    }

    fn role(&self, direction: Direction) -> Option<Role> {
        Some(match (self.side?, direction) {
            (Side::Server, Direction::Received) | (Side::Client, Direction::Sent) => Role::Requests,
            _ => Role::Responses,
        })
    }

    /// The direction that messages of this role flow in. Only asked when the side is known.
    fn direction(&self, role: Role) -> Direction {
        match (self.side, role) {
            (Some(Side::Client), Role::Requests) | (Some(Side::Server), Role::Responses) => {
                Direction::Sent
            }
            _ => Direction::Received,
        }
    }

    /// Whether a response came before its request, which is certain only where every request so far
    /// was seen, and only possible where requests are sent.
    fn is_ahead(&self, chunk: &Chunk<'_>) -> bool {
        if chunk.direction != Direction::Received || self.side == Some(Side::Server) {
            return false;
        }
        let stream = &self.streams[chunk.direction as usize];
        let begins = || match self.side {
            Some(_) => may_begin(Role::Responses, chunk.seen()),
            None => sniff(chunk.seen()) == Beginning::Response,
        };
        !self.held.is_empty()
            || (self.synced
                && !self.queue.is_due()
                && stream.is_between()
                && !self.streams[chunk.direction.other() as usize].is_unmarked()
                && stream.next == Some(chunk.position)
                && begins())
    }

    fn hold(&mut self, chunk: &Chunk<'_>, found: &mut Found) {
        self.side = Some(Side::Client);
        self.verdict = Verdict::Http;
        self.last = Some(chunk.direction);
        self.held.push(HeldChunk::new(chunk));
        let bytes: usize = self.held.iter().map(|held| held.chunk().captured.len()).sum();
        if self.held.len() > MAX_HELD || bytes > MAX_HELD_BYTES {
            self.drop_held(found);
        }
    }

    /// Their request will not come.
    fn drop_held(&mut self, found: &mut Found) {
        let Some(last) = self.held.pop() else { return };
        self.held = Vec::new();
        let last = last.chunk();
        let stream = self.stream(last.direction);
        stream.next = last.position.checked_add(last.length);
        self.lose(last.direction, Loss::ResponseWithoutRequest, found);
    }

    fn take(&mut self, chunk: &Chunk<'_>, found: &mut Found) {
        let direction = chunk.direction;
        let next = self.stream(direction).next.replace(chunk.position.saturating_add(chunk.length));
        self.after_gap = next.is_some_and(|next| next != chunk.position);
        if self.after_gap {
            self.gap(direction, next.and_then(|next| chunk.position.checked_sub(next)), found);
        }
        let mut rest = Rest::of(chunk);
        while !rest.bytes.is_empty() && self.is_followed() {
            let used = self.bytes(&rest, found);
            rest.skip(used);
        }
        if chunk.unseen() > 0 && self.is_followed() {
            self.unseen(chunk, found);
        }
        if self.is_followed() && self.stream(direction).is_unmarked() && chunk.has_end_mark() {
            self.message_over(direction, found);
        }
        if self.side.is_none() && self.stream(direction).is_lost() {
            self.strange += 1;
            if self.strange >= MAX_STRANGE {
                self.give_up(GiveUp::NotHttp, found);
            }
        }
        self.last = Some(direction);
    }

    /// Bytes are missing before the next chunk; `None` if it goes over some a second time.
    fn gap(&mut self, direction: Direction, count: Option<u64>, found: &mut Found) {
        let lost_bytes = &mut found.counts.lost_bytes;
        *lost_bytes = lost_bytes.saturating_add(count.unwrap_or(0));
        let role = self.role(direction);
        let stream = &mut self.streams[direction as usize];
        // When a request's last byte came is not known then, but nothing is measured by it.
        let ends_request = role == Some(Role::Requests)
            && matches!((&stream.state, count), (State::Body(body), Some(count)) if body.is_left(count));
        let passed = match (&mut stream.state, count) {
            (State::Body(body), Some(count)) => (ends_request || body.lost(count)).then_some(count),
            // Nobody waits for what they may have been.
            (State::Lost, _) if self.queue.is_empty() && self.held.is_empty() => return,
            _ => None,
        };
        match (passed, role) {
            (Some(count), Some(role)) if self.stream(direction).attached => {
                if let Some(transfer) = self.queue.transfer(role) {
                    transfer.body_bytes = transfer.body_bytes.saturating_add(count);
                }
            }
            (Some(_), _) => {}
            (None, _) => self.lose(direction, Loss::BytesLost, found),
        }
        if ends_request {
            self.message_over(direction, found);
        }
    }
}
