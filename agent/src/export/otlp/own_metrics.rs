//! What became of spans and metrics that were to be sent.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// How a span ended, for the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpanOutcome {
    /// The endpoint has it.
    Delivered,
    /// The endpoint refused it, or did not answer in time.
    Failed,
    /// The queue was full.
    QueueFull,
}

impl SpanOutcome {
    const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::QueueFull];

    const fn label(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::QueueFull => "queue_full",
        }
    }
}

/// The label set of the counters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OutcomeLabels {
    /// [`SpanOutcome::label`].
    outcome: &'static str,
}

/// Handles that share their counts when cloned.
#[derive(Clone, Debug)]
pub struct OtlpMetrics {
    spans: Family<OutcomeLabels, Counter>,
    /// Requests with metrics, by outcome.
    metrics: Family<OutcomeLabels, Counter>,
}

impl Default for OtlpMetrics {
    /// All outcomes at zero, so that a rate is seen from the first event on.
    fn default() -> Self {
        let metrics = Self { spans: Family::default(), metrics: Family::default() };
        for outcome in SpanOutcome::ALL {
            metrics.count_spans(outcome, 0);
        }
        metrics.count_metrics(SpanOutcome::Delivered, 0);
        metrics.count_metrics(SpanOutcome::Failed, 0);
        metrics
    }
}

impl OtlpMetrics {
    /// Names the metrics in a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("otlp_spans", "Spans by what became of them", self.spans.clone());
        registry.register(
            "otlp_metric_requests",
            "Requests with metrics by what became of them; the next one makes up for one that failed",
            self.metrics.clone(),
        );
    }

    pub(super) fn count_spans(&self, outcome: SpanOutcome, count: usize) {
        let labels = OutcomeLabels { outcome: outcome.label() };
        self.spans.get_or_create(&labels).inc_by(count as u64);
    }

    pub(super) fn count_metrics(&self, outcome: SpanOutcome, count: usize) {
        let labels = OutcomeLabels { outcome: outcome.label() };
        self.metrics.get_or_create(&labels).inc_by(count as u64);
    }
}
