//! Requests that wait, bounded by bytes and by count; the oldest goes when there is no room.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::metrics::{ForwardMetrics, Outcome};
use super::{ForwardSettings, Forwarded};

pub(super) struct Queue {
    max_bytes: usize,
    max_requests: usize,
    state: Mutex<State>,
    arrived: Notify,
    metrics: ForwardMetrics,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Forwarded>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(settings: &ForwardSettings, metrics: ForwardMetrics) -> Self {
        Self {
            max_bytes: settings.queue_bytes,
            max_requests: settings.queue_requests,
            state: Mutex::default(),
            arrived: Notify::new(),
            metrics,
        }
    }

    /// Appends, dropping as many of the oldest as it takes. Never waits.
    pub(super) fn push(&self, request: Forwarded) {
        let mut state = self.state();
        if state.closed {
            return self.metrics.ended(request.signal, Outcome::Shutdown);
        }
        let len = request.body.len();
        while (state.bytes + len > self.max_bytes || state.waiting.len() >= self.max_requests)
            && let Some(oldest) = state.waiting.pop_front()
        {
            state.bytes -= oldest.body.len();
            self.metrics.ended(oldest.signal, Outcome::QueueFull);
        }
        if len > self.max_bytes || self.max_requests == 0 {
            self.metrics.ended(request.signal, Outcome::QueueFull);
        } else {
            state.bytes += len;
            state.waiting.push_back(request);
        }
        self.metrics.waiting(state.bytes);
        drop(state);
        self.arrived.notify_one();
    }

    /// The oldest request; waits for one. `None` once the queue is closed and empty.
    pub(super) async fn take(&self) -> Option<Forwarded> {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut state = self.state();
                if let Some(request) = state.waiting.pop_front() {
                    state.bytes -= request.body.len();
                    self.metrics.waiting(state.bytes);
                    if !state.waiting.is_empty() {
                        self.arrived.notify_one();
                    }
                    return Some(request);
                }
                if state.closed {
                    self.arrived.notify_one();
                    return None;
                }
            }
            arrived.await;
        }
    }

    /// Takes nothing more in; what waits is still given out.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_one();
    }

    /// Drops what is left.
    pub(super) fn drop_rest(&self) {
        let mut state = self.state();
        state.closed = true;
        for request in state.waiting.drain(..) {
            self.metrics.ended(request.signal, Outcome::Shutdown);
        }
        state.bytes = 0;
        self.metrics.waiting(0);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::ingest::OtlpSignal;

    fn request(byte: u8, len: usize) -> Forwarded {
        let body = vec![byte; len].into();
        Forwarded { signal: OtlpSignal::Traces, body, json: false, gzip: false }
    }

    #[tokio::test]
    async fn the_oldest_goes_when_there_is_no_room_and_is_counted() {
        let metrics = ForwardMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let settings = ForwardSettings { queue_bytes: 100, ..ForwardSettings::to("") };
        let queue = Queue::new(&settings, metrics);
        for n in 0..5 {
            queue.push(request(n, 40));
        }
        queue.push(request(9, 101));
        let mut text = String::new();
        encode(&mut text, &registry).expect("to memory");
        let line = "collector_forward_requests_total{signal=\"traces\",outcome=\"queue_full\"} 6";
        assert!(text.contains(line), "{text}");
        queue.push(request(7, 40));
        queue.close();
        queue.push(request(8, 40));
        let first = queue.take().await.expect("one waits");
        assert_eq!(first.body[0], 7);
        assert!(queue.take().await.is_none());
    }
}
