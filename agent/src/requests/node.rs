//! The place of an exchange in its trace, which may become known only after it has begun: of two ends
//! of one connection either may be told of first.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use opentelemetry::trace::{SpanId, TraceId};

/// One exchange, at one end.
pub(super) struct Node {
    pub(super) span_id: SpanId,
    /// Its service.
    pub(super) service: Arc<str>,
    pub(super) trace: Rc<Trace>,
    pub(super) parent: Cell<Option<Parent>>,
    /// The service at the other end, if that is on this host too.
    pub(super) other_end: RefCell<Option<Arc<str>>>,
}

/// The span that caused another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) span_id: SpanId,
    /// Another process made it.
    pub(super) is_remote: bool,
}

/// A trace, as far as this host has told it from others. What turn out to be parts of one trace end at
/// the same root.
pub(super) struct Trace(RefCell<State>);

enum State {
    Root(Root),
    PartOf(Rc<Trace>),
}

/// What is the same for all of a trace.
#[derive(Clone, Debug)]
pub(super) struct Root {
    pub(super) id: TraceId,
    /// Whether whoever began it records it; `None` if nobody else has begun it.
    pub(super) sampled: Option<bool>,
    /// Up to then it may turn out to be part of another.
    pub(super) open_until_ns: u64,
    /// Whether its spans are kept, once that was asked: with which threshold, or not.
    pub(super) kept: Option<Option<Kept>>,
}

/// Spans of a trace are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Because whoever began it said so.
    AsAsked,
    /// By chance: those whose trace's randomness is not below this.
    Threshold(u64),
}

impl Root {
    /// Of a trace that somebody else has begun.
    pub(super) const fn known(id: TraceId, sampled: Option<bool>) -> Self {
        Self { id, sampled, open_until_ns: 0, kept: None }
    }
}

impl Trace {
    pub(super) fn new(root: Root) -> Rc<Self> {
        Rc::new(Self(RefCell::new(State::Root(root))))
    }

    /// The trace that this one turned out to be part of; itself as a rule.
    pub(super) fn end(self: &Rc<Self>) -> Rc<Self> {
        let mut end = Rc::clone(self);
        loop {
            let next = match &*end.0.borrow() {
                State::Root(_) => break,
                State::PartOf(next) => Rc::clone(next),
            };
            end = next;
        }
        // The way is short next time.
        if !Rc::ptr_eq(self, &end) {
            *self.0.borrow_mut() = State::PartOf(Rc::clone(&end));
        }
        end
    }

    /// Looks at what is the same for all of it, or changes that.
    pub(super) fn with<T>(self: &Rc<Self>, look: impl FnOnce(&mut Root) -> T) -> T {
        match &mut *self.end().0.borrow_mut() {
            State::Root(root) => look(root),
            State::PartOf(_) => unreachable!("a way ends at a root"),
        }
    }

    /// It is part of another.
    pub(super) fn join(self: &Rc<Self>, other: &Rc<Self>) {
        let (end, other) = (self.end(), other.end());
        if !Rc::ptr_eq(&end, &other) {
            *end.0.borrow_mut() = State::PartOf(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(id: u8) -> Rc<Trace> {
        let id = TraceId::from_bytes([id; 16]);
        Trace::new(Root::known(id, None))
    }

    #[test]
    fn all_parts_end_at_one_root_and_no_ring_is_made() {
        let [a, b, c] = [trace(1), trace(2), trace(3)];
        c.join(&b);
        b.join(&a);
        a.join(&c);
        for part in [&a, &b, &c] {
            assert_eq!(part.with(|root| root.id), TraceId::from_bytes([1; 16]));
        }
    }
}
