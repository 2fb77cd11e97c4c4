//! Counters of what came in and what was refused.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::error::IngestError;
use super::otlp::{OtlpSignal, Rejected};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    endpoint: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Endpoint {
    endpoint: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Signal {
    signal: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RowRejection {
    signal: &'static str,
    reason: &'static str,
}

/// Counters of the ingest endpoints; clones count together.
#[derive(Clone, Debug, Default)]
pub struct IngestMetrics {
    accepted: Family<Endpoint, Counter>,
    duplicates: Family<Endpoint, Counter>,
    refused: Family<Refusal, Counter>,
    body_bytes: Family<Endpoint, Counter>,
    profiles: Counter,
    samples: Counter,
    rows: Family<Signal, Counter>,
    rows_rejected: Family<RowRejection, Counter>,
    exemplars_dropped: Counter,
}

impl IngestMetrics {
    /// Adds the counters to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "collector_pushes_accepted",
            "Requests whose content was stored",
            self.accepted.clone(),
        );
        registry.register(
            "collector_pushes_duplicate",
            "Requests that had been stored before and changed nothing",
            self.duplicates.clone(),
        );
        registry.register("collector_pushes_refused", "Requests refused", self.refused.clone());
        registry.register(
            "collector_push_bytes",
            "Bytes of request bodies as received",
            self.body_bytes.clone(),
        );
        registry.register("collector_profiles", "Profiles stored", self.profiles.clone());
        registry.register("collector_samples", "Samples stored", self.samples.clone());
        registry.register(
            "collector_otlp_rows",
            "Spans and metric points stored",
            self.rows.clone(),
        );
        registry.register(
            "collector_otlp_rows_rejected",
            "Spans and metric points not taken from requests whose others were",
            self.rows_rejected.clone(),
        );
        registry.register(
            "collector_otlp_exemplars_dropped",
            "Exemplars of stored points, which are not kept",
            self.exemplars_dropped.clone(),
        );
    }

    pub(super) fn received(&self, endpoint: &'static str, bytes: usize) {
        self.body_bytes.get_or_create(&Endpoint { endpoint }).inc_by(bytes as u64);
    }

    pub(super) fn refused(&self, endpoint: &'static str, error: &IngestError) {
        self.refused.get_or_create(&Refusal { endpoint, reason: error.label() }).inc();
    }

    pub(super) fn duplicate(&self, endpoint: &'static str) {
        self.duplicates.get_or_create(&Endpoint { endpoint }).inc();
    }

    pub(super) fn rows_stored(&self, signal: OtlpSignal, endpoint: &'static str, rows: usize) {
        self.accepted.get_or_create(&Endpoint { endpoint }).inc();
        self.rows.get_or_create(&Signal { signal: signal.name() }).inc_by(rows as u64);
    }

    pub(super) fn rows_rejected(&self, signal: OtlpSignal, rejected: &Rejected) {
        let signal = signal.name();
        for (why, count) in rejected.by_reason() {
            let labels = RowRejection { signal, reason: why.label() };
            self.rows_rejected.get_or_create(&labels).inc_by(count);
        }
    }

    pub(super) fn exemplars_dropped(&self, count: u64) {
        self.exemplars_dropped.inc_by(count);
    }

    pub(super) fn stored(&self, endpoint: &'static str, profiles: usize, samples: usize) {
        self.accepted.get_or_create(&Endpoint { endpoint }).inc();
        self.profiles.inc_by(profiles as u64);
        self.samples.inc_by(samples as u64);
    }
}
