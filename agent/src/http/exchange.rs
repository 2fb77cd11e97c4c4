//! What comes out: one request with its response, when their bytes moved, and how it ended.

use super::{Chunk, Closer, Counts, GiveUp, Request};

/// Which end of the connection the observed process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It received the request.
    Server,
    /// It sent it.
    Client,
}

/// How one message went over the socket. Times are of `CLOCK_BOOTTIME`, taken when calls ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Place of its first byte in its direction's stream. Both ends of a connection that was seen
    /// from its beginning count the same.
    pub position: u64,
    /// The thread that moved its first byte, as userspace says it: what the kernel calls `pid`.
    pub tid: u32,
    /// The call that moved its first byte received it, and would have waited for it.
    pub may_wait: bool,
    /// When its first byte reached the socket; 0 if that is not known, or it was sent.
    pub arrived_ns: u64,
    /// When the call ended that moved its first byte.
    pub first_ns: u64,
    /// When the last call ended that is known to have moved a byte of it.
    pub last_ns: u64,
    /// Bytes of its body that moved.
    pub body_bytes: u64,
    /// `body_bytes` leaves the sizes between the chunks out; without it some may be counted.
    pub body_exact: bool,
    /// It moved to its end, as far as its framing tells.
    pub whole: bool,
}

impl Transfer {
    pub(super) fn new(position: u64, chunk: &Chunk<'_>) -> Self {
        Self {
            position,
            tid: chunk.tid,
            may_wait: chunk.may_wait,
            arrived_ns: chunk.arrived_ns,
            first_ns: chunk.boot_ns,
            last_ns: chunk.boot_ns,
            body_bytes: 0,
            body_exact: true,
            whole: false,
        }
    }

    /// How long its first byte lay in the socket before the process read it.
    #[must_use]
    pub fn waited_ns(&self) -> Option<u64> {
        (self.arrived_ns > 0).then(|| self.first_ns.saturating_sub(self.arrived_ns))
    }
}

/// The final response, not the interim ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    /// What it says its body's length is; an answer to HEAD has none all the same.
    pub content_length: Option<u64>,
    /// How it moved.
    pub transfer: Transfer,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With the whole response. The request may not be whole: a server may answer early.
    Complete,
    /// The connection ended before a final response began.
    NoResponse(Closer),
    /// The connection ended within the response.
    Aborted(Closer),
    /// The connection carries something else from here on (101, or CONNECT).
    Upgraded,
    /// It is not known: bytes are missing, or were not captured.
    LostBytes,
    /// Not a byte moved for too long.
    TimedOut,
    /// It is not known: the connection was given up.
    GaveUp(GiveUp),
}

/// One request and what became of it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Which end was observed.
    pub side: Side,
    /// What was asked for.
    pub request: Request,
    /// What was answered, if that began.
    pub response: Option<Response>,
    /// How it ended.
    pub outcome: Outcome,
}

/// What chunks gave rise to, of any number of connections.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order in which they ended.
    pub exchanges: Vec<Exchange>,
    /// What else happened.
    pub counts: Counts,
}

/// A request that waits for its response, or for the end of it.
pub(super) struct InFlight {
    pub(super) request: Request,
    pub(super) response: Option<Response>,
    /// Nothing more of the request is expected.
    pub(super) request_over: bool,
    /// Nothing more of the response is expected.
    pub(super) response_over: bool,
}

impl InFlight {
    pub(super) const fn new(request: Request) -> Self {
        Self { request, response: None, request_over: false, response_over: false }
    }

    pub(super) fn ended(self, side: Side, outcome: Outcome) -> Exchange {
        Exchange { side, request: self.request, response: self.response, outcome }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.request.text_bytes()
    }
}
