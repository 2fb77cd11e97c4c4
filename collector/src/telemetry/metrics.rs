//! The registry behind `/metrics`.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::forward::ForwardMetrics;
use crate::ingest::IngestMetrics;
use crate::store::StoreMetrics;

/// Labels of one count of answers: route and status.
type Answer = [(&'static str, String); 2];

/// Counters of the whole collector.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The ingest's counters.
    pub ingest: IngestMetrics,
    /// Forwarding's counters.
    pub forward: ForwardMetrics,
    /// The store's counters.
    pub store: StoreMetrics,
    answers: Family<Vec<(&'static str, String)>, Counter>,
    refused_connections: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("sonde");
        let ingest = IngestMetrics::default();
        ingest.register(&mut registry);
        let forward = ForwardMetrics::default();
        forward.register(&mut registry);
        let store = StoreMetrics::default();
        store.register(&mut registry);
        let answers = Family::default();
        registry.register(
            "collector_http_answers",
            "Answers by route and status",
            Family::clone(&answers),
        );
        let refused_connections = Counter::default();
        registry.register(
            "collector_http_connections_refused",
            "Connections closed because too many were open",
            refused_connections.clone(),
        );
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("collector_build", "What runs here", version);
        Self { registry, ingest, forward, store, answers, refused_connections }
    }
}

impl Metrics {
    /// Counts an answer. `route` is a pattern of ours, never a client's text.
    pub(crate) fn answered(&self, route: &str, status: u16) {
        let labels: Answer = [("route", route.to_owned()), ("status", status.to_string())];
        self.answers.get_or_create(&labels.to_vec()).inc();
    }

    /// Counts a connection that found no room.
    pub(crate) fn refused_connection(&self) {
        self.refused_connections.inc();
    }

    /// All metrics as OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        if encode(&mut out, &self.registry).is_err() {
            tracing::error!("metrics cannot be encoded");
        }
        out
    }
}
