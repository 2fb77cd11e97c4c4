//! Requests that wait, bounded by bytes and by count; the oldest goes first when there is no room.
//!
//! The lock is held for a few moves of pointers and never across a wait.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::batch::Request;
use super::metrics::{Outcome, PushMetrics};
use crate::telemetry::Losses;

pub(super) struct Queue {
    max_bytes: usize,
    max_requests: usize,
    state: Mutex<State>,
    arrived: Notify,
    metrics: PushMetrics,
    losses: Losses,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Request>,
    /// Taken by the sender and neither delivered nor dropped yet; its bytes count.
    under_way: Option<Request>,
    closed: bool,
}

impl State {
    fn bytes(&self) -> usize {
        self.waiting.iter().chain(&self.under_way).map(Request::len).sum()
    }

    fn requests(&self) -> usize {
        self.waiting.len() + usize::from(self.under_way.is_some())
    }
}

impl Queue {
    pub(super) fn new(
        max_bytes: usize,
        max_requests: usize,
        metrics: PushMetrics,
        losses: Losses,
    ) -> Self {
        let (state, arrived) = Default::default();
        Self { max_bytes, max_requests, state, arrived, metrics, losses }
    }

    /// Appends, dropping as many of the oldest as it takes; the request itself when even that is not
    /// enough.
    pub(super) fn push(&self, request: Request) {
        let mut state = self.state();
        if state.closed {
            return self.drop_one(&request, Outcome::Shutdown);
        }
        while self.is_full_for(&state, &request)
            && let Some(oldest) = state.waiting.pop_front()
        {
            self.drop_one(&oldest, Outcome::QueueFull);
        }
        if self.is_full_for(&state, &request) {
            self.drop_one(&request, Outcome::QueueFull);
        } else {
            state.waiting.push_back(request);
        }
        self.show(&state);
        drop(state);
        self.arrived.notify_one();
    }

    /// The oldest request, which stays accounted for until [`Queue::done`].
    pub(super) fn take(&self) -> Option<Request> {
        let mut state = self.state();
        state.under_way = state.waiting.pop_front();
        state.under_way.clone()
    }

    /// The request that was taken has had its end.
    pub(super) fn done(&self, outcome: Outcome) {
        let mut state = self.state();
        if let Some(request) = state.under_way.take() {
            self.drop_one(&request, outcome);
        }
        self.show(&state);
    }

    /// Waits until something was pushed since the last wait.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Refuses everything from here on and counts what is left.
    pub(super) fn close(&self) -> usize {
        let mut state = self.state();
        state.closed = true;
        let left: Vec<_> = std::mem::take(&mut state.waiting).into();
        let left: Vec<_> = left.into_iter().chain(state.under_way.take()).collect();
        left.iter().for_each(|request| self.drop_one(request, Outcome::Shutdown));
        self.show(&state);
        left.len()
    }

    fn is_full_for(&self, state: &State, request: &Request) -> bool {
        state.bytes() + request.len() > self.max_bytes || state.requests() >= self.max_requests
    }

    /// What is lost is told by the trust profile of a window to come; what this request's own would
    /// have told is, too.
    fn drop_one(&self, request: &Request, outcome: Outcome) {
        self.metrics.count(outcome, 1, request.profiles);
        if let Some(reason) = outcome.drop_reason() {
            self.losses.count(reason, request.samples);
            for (reason, count) in &request.lost {
                self.losses.tell_again(*reason, *count);
            }
        }
    }

    fn show(&self, state: &State) {
        self.metrics.queue_bytes.set(i64::try_from(state.bytes()).unwrap_or(i64::MAX));
        self.metrics.queue_requests.set(i64::try_from(state.requests()).unwrap_or(i64::MAX));
    }

    /// A panic elsewhere leaves the queue as it was: every change is one step.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use sonde_ebpf::DropReason;

    use super::*;

    fn queue(max_bytes: usize, max_requests: usize) -> Queue {
        Queue::new(max_bytes, max_requests, PushMetrics::default(), Losses::default())
    }

    fn request(bytes: &'static [u8]) -> Request {
        let lost = vec![(DropReason::SampleRingFull, 2)];
        Request { body: bytes.into(), profiles: 1, samples: 5, lost }
    }

    fn drain(queue: &Queue) -> Vec<Request> {
        std::iter::from_fn(|| queue.take()).collect()
    }

    #[test]
    fn the_oldest_go_when_bytes_run_out() {
        let queue = queue(10, 100);
        [b"aaaa", b"bbbb", b"cccc"].into_iter().for_each(|body| queue.push(request(body)));
        assert_eq!(queue.metrics.queue_bytes.get(), 8);
        assert_eq!(drain(&queue), [request(b"bbbb"), request(b"cccc")]);
        assert_eq!(queue.metrics.requests(Outcome::QueueFull), 1);
    }

    #[test]
    fn the_oldest_go_when_the_count_is_reached() {
        let queue = queue(1_000, 2);
        [b"a", b"b", b"c"].into_iter().for_each(|body| queue.push(request(body)));
        assert_eq!(drain(&queue), [request(b"b"), request(b"c")]);
    }

    #[test]
    fn a_request_larger_than_the_queue_is_dropped_and_counted() {
        let queue = queue(3, 10);
        queue.push(request(b"aaaa"));
        assert_eq!(drain(&queue), []);
        assert_eq!(queue.metrics.requests(Outcome::QueueFull), 1);
    }

    #[test]
    fn samples_of_what_was_not_delivered_are_lost_and_what_it_told_is_told_again() {
        let queue = queue(100, 10);
        for outcome in [Outcome::Delivered, Outcome::Refused, Outcome::GivenUp] {
            queue.push(request(b"a"));
            queue.take();
            queue.done(outcome);
        }
        let expected = [
            (DropReason::SampleRingFull, 4),
            (DropReason::ExportRefused, 5),
            (DropReason::ExportGivenUp, 5),
        ];
        assert_eq!(queue.losses.take_untold(), expected);
    }

    #[test]
    fn the_request_under_way_takes_room_until_it_is_done() {
        let queue = queue(4, 10);
        queue.push(request(b"aaaa"));
        queue.take();
        queue.push(request(b"bbbb"));
        assert_eq!(queue.metrics.requests(Outcome::QueueFull), 1);
        queue.done(Outcome::Delivered);
        queue.push(request(b"cccc"));
        assert_eq!(drain(&queue), [request(b"cccc")]);
    }

    #[test]
    fn what_is_left_at_the_end_is_counted() {
        let queue = queue(100, 10);
        [b"a", b"b"].into_iter().for_each(|body| queue.push(request(body)));
        queue.take();
        assert_eq!(queue.close(), 2);
        queue.push(request(b"late"));
        assert_eq!(queue.metrics.requests(Outcome::Shutdown), 3);
        assert_eq!(queue.metrics.queue_bytes.get(), 0);
    }
}
