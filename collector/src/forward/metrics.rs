//! Counters of what was passed on, and of what was lost on the way, under its reason.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::ingest::OtlpSignal;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Delivered,
    QueueFull,
    Refused,
    Broken,
    Shutdown,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::QueueFull => "queue_full",
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::Shutdown => "shutdown",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    signal: &'static str,
    outcome: &'static str,
}

/// Counters of forwarding; clones count together.
#[derive(Clone, Debug, Default)]
pub struct ForwardMetrics {
    requests: Family<Labels, Counter>,
    attempts_failed: Counter,
    waiting_bytes: Gauge<i64, AtomicI64>,
}

impl ForwardMetrics {
    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "collector_forward_requests",
            "Requests passed on, and those dropped, by what became of them",
            self.requests.clone(),
        );
        registry.register(
            "collector_forward_attempts_failed",
            "Attempts to pass a request on that failed and were tried again",
            self.attempts_failed.clone(),
        );
        registry.register(
            "collector_forward_waiting_bytes",
            "Bytes that wait to be passed on",
            self.waiting_bytes.clone(),
        );
    }

    pub(super) fn ended(&self, signal: OtlpSignal, outcome: Outcome) {
        let labels = Labels { signal: signal.name(), outcome: outcome.label() };
        self.requests.get_or_create(&labels).inc();
    }

    pub(super) fn failed(&self) {
        self.attempts_failed.inc();
    }

    pub(super) fn waiting(&self, bytes: usize) {
        self.waiting_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
