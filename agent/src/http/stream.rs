//! One direction of a connection: which byte is next, and what it is part of.

use super::body::Body;
use super::exchange::Transfer;
use super::sniff::Beginning;
use super::{Chunk, Direction};

/// What flows in a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Requests,
    Responses,
}

impl Role {
    /// The role that bytes with this beginning have.
    pub(super) const fn of(beginning: Beginning) -> Option<Self> {
        match beginning {
            Beginning::Request => Some(Self::Requests),
            Beginning::Response => Some(Self::Responses),
            Beginning::Undecided | Beginning::Other(_) => None,
        }
    }
}

/// What the next byte is part of.
pub(super) enum State {
    /// Of a head that begins with it, or of an empty line before.
    Between,
    /// Of a head whose beginning is kept.
    Head(Box<PartialHead>),
    /// Of a body.
    Body(Body),
    /// That is not known, until a chunk begins with a head.
    Lost,
}

/// A head that is not whole. Its bytes may hold credentials: they are not shown, and not kept longer.
pub(super) struct PartialHead {
    pub(super) bytes: Vec<u8>,
    pub(super) transfer: Transfer,
}

pub(super) struct Stream {
    /// Place of the next byte, if it is known.
    pub(super) next: Option<u64>,
    pub(super) state: State,
    /// The exchange of the body that flows is in the queue.
    pub(super) attached: bool,
}

impl Stream {
    /// A stream from its beginning.
    pub(super) const fn fresh() -> Self {
        Self { next: Some(0), state: State::Between, attached: false }
    }

    /// A stream that flowed before.
    pub(super) const fn midway() -> Self {
        Self { next: None, state: State::Lost, attached: false }
    }

    pub(super) const fn is_between(&self) -> bool {
        matches!(self.state, State::Between)
    }

    pub(super) const fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost)
    }

    pub(super) const fn is_unmarked(&self) -> bool {
        matches!(self.state, State::Body(Body::Unmarked))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match &self.state {
            State::Head(head) => size_of::<PartialHead>() + head.bytes.capacity(),
            _ => 0,
        }
    }
}

/// What is left of a chunk's captured bytes.
pub(super) struct Rest<'a> {
    pub(super) chunk: &'a Chunk<'a>,
    pub(super) bytes: &'a [u8],
}

impl<'a> Rest<'a> {
    pub(super) fn of(chunk: &'a Chunk<'a>) -> Self {
        Self { chunk, bytes: chunk.seen() }
    }

    pub(super) const fn direction(&self) -> Direction {
        self.chunk.direction
    }

    pub(super) fn at_start(&self) -> bool {
        self.bytes.len() == self.chunk.seen().len()
    }

    /// Place of the next byte in the stream.
    pub(super) fn position(&self) -> u64 {
        let used = self.chunk.seen().len() - self.bytes.len();
        self.chunk.position.saturating_add(used as u64)
    }

    pub(super) fn skip(&mut self, count: usize) {
        self.bytes = self.bytes.get(count..).unwrap_or_default();
    }
}
