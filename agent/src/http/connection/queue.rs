//! The requests of one connection that are not done, oldest first: responses come in their order.

use std::collections::VecDeque;

use crate::http::exchange::{InFlight, Transfer};
use crate::http::stream::Role;
use crate::http::{MAX_IN_FLIGHT, MAX_IN_FLIGHT_BYTES, Request};

/// Room that is kept when all requests are done.
const IDLE_ROOM: usize = 8;

/// Boxed, because most connections have none or one.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Box<InFlight>>,
    text_bytes: usize,
}

impl Queue {
    /// Says whether there was room.
    pub(super) fn push(&mut self, request: Request) -> bool {
        let bytes = self.text_bytes + request.text_bytes();
        if self.waiting.len() >= MAX_IN_FLIGHT || bytes > MAX_IN_FLIGHT_BYTES {
            return false;
        }
        self.text_bytes = bytes;
        self.waiting.push_back(Box::new(InFlight::new(request)));
        true
    }

    pub(super) fn pop(&mut self) -> Option<InFlight> {
        let first = self.waiting.pop_front()?;
        self.text_bytes -= first.request.text_bytes();
        if self.waiting.is_empty() {
            self.waiting.shrink_to(IDLE_ROOM);
        }
        Some(*first)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn front(&self) -> Option<&InFlight> {
        self.waiting.front().map(|first| &**first)
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut InFlight> {
        self.waiting.front_mut().map(|first| &mut **first)
    }

    pub(super) fn back(&self) -> Option<&InFlight> {
        self.waiting.back().map(|last| &**last)
    }

    pub(super) fn back_mut(&mut self) -> Option<&mut InFlight> {
        self.waiting.back_mut().map(|last| &mut **last)
    }

    /// Whether a response is due that has not begun. Responses begin in order, so the last request is
    /// the one to ask.
    pub(super) fn is_due(&self) -> bool {
        self.back().is_some_and(|last| last.response.is_none())
    }

    /// The request whose response comes next.
    pub(super) fn due(&mut self) -> Option<&mut InFlight> {
        // Behind at most one whose response began.
        let due = self.waiting.iter_mut().find(|one| one.response.is_none());
        due.map(|one| &mut **one)
    }

    /// The message that flows: the newest request, the oldest response.
    pub(super) fn transfer(&mut self, role: Role) -> Option<&mut Transfer> {
        match role {
            Role::Requests => self.back_mut().map(|last| &mut last.request.transfer),
            Role::Responses => {
                let response = self.front_mut()?.response.as_mut();
                response.map(|response| &mut response.transfer)
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &InFlight> {
        self.waiting.iter().map(|one| &**one)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let room = self.waiting.capacity() * size_of::<Box<InFlight>>();
        room + self.iter().map(InFlight::memory_bytes).sum::<usize>()
    }
}
