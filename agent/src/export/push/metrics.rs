//! What became of every request and every profile that was to be pushed.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use sonde_ebpf::DropReason;

/// How a request ended. [`Outcome::Retried`] alone is not an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The server has it.
    Delivered,
    /// An attempt failed and another follows.
    Retried,
    /// The server refused it for good.
    Refused,
    /// The server failed on it again and again.
    GivenUp,
    /// The queue was full and this was the oldest.
    QueueFull,
    /// The agent ended before the server took it.
    Shutdown,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] = [
        Self::Delivered,
        Self::Retried,
        Self::Refused,
        Self::GivenUp,
        Self::QueueFull,
        Self::Shutdown,
    ];

    /// The metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::Refused => "refused",
            Self::GivenUp => "given_up",
            Self::QueueFull => "queue_full",
            Self::Shutdown => "shutdown",
        }
    }

    /// Under which reason the samples of a request with this end are lost; `None` if they are not.
    pub(super) const fn drop_reason(self) -> Option<DropReason> {
        match self {
            Self::Delivered | Self::Retried => None,
            Self::Refused => Some(DropReason::ExportRefused),
            Self::GivenUp => Some(DropReason::ExportGivenUp),
            Self::QueueFull => Some(DropReason::ExportQueueFull),
            Self::Shutdown => Some(DropReason::ExportUnsent),
        }
    }
}

/// The label set of the push counters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// [`Outcome::label`].
    pub outcome: &'static str,
}

/// Handles that share their counts when cloned.
#[derive(Clone, Debug)]
pub struct PushMetrics {
    /// Requests by outcome.
    pub requests: Family<OutcomeLabels, Counter>,
    /// Profiles by outcome; a request carries several.
    pub profiles: Family<OutcomeLabels, Counter>,
    /// Bytes of requests that were delivered.
    pub delivered_bytes: Counter,
    /// Bytes that wait, the request under way included.
    pub queue_bytes: Gauge,
    /// Requests that wait, the one under way included.
    pub queue_requests: Gauge,
}

impl Default for PushMetrics {
    /// All outcomes at zero, so that a rate is seen from the first event on.
    fn default() -> Self {
        let metrics = Self {
            requests: Family::default(),
            profiles: Family::default(),
            delivered_bytes: Counter::default(),
            queue_bytes: Gauge::default(),
            queue_requests: Gauge::default(),
        };
        Outcome::ALL.into_iter().for_each(|outcome| metrics.count(outcome, 0, 0));
        metrics
    }
}

impl PushMetrics {
    /// Names the metrics in a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "push_requests",
            "Push requests by outcome; retried counts attempts that are followed by another",
            self.requests.clone(),
        );
        registry.register(
            "push_profiles",
            "Profiles by the outcome of the push request that carried them",
            self.profiles.clone(),
        );
        registry.register_with_unit(
            "push_delivered",
            "Size of push requests that were delivered",
            Unit::Bytes,
            self.delivered_bytes.clone(),
        );
        registry.register_with_unit(
            "push_queue",
            "Size of push requests that wait or are under way",
            Unit::Bytes,
            self.queue_bytes.clone(),
        );
        registry.register(
            "push_queue_requests",
            "Push requests that wait or are under way",
            self.queue_requests.clone(),
        );
    }

    /// How many requests had this outcome so far.
    #[must_use]
    pub fn requests(&self, outcome: Outcome) -> u64 {
        self.requests.get_or_create(&labels(outcome)).get()
    }

    pub(super) fn count(&self, outcome: Outcome, requests: u64, profiles: u64) {
        self.requests.get_or_create(&labels(outcome)).inc_by(requests);
        self.profiles.get_or_create(&labels(outcome)).inc_by(profiles);
    }
}

const fn labels(outcome: Outcome) -> OutcomeLabels {
    OutcomeLabels { outcome: outcome.label() }
}
