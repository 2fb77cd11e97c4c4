//! Rate, errors and duration by service, route and outcome, the same by span, and by pairs of
//! services, in the forms that OpenTelemetry's conventions and Tempo's dashboards know.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::trace::TraceId;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;
use sonde_ebpf::DropReason;

use super::edges::Edge;
use super::key::{Key, Timing};
use super::series::{Grouped, Series};
use crate::aggregate::Distribution;
use crate::http::{Counts, Exchange, GiveUp, Loss};
use crate::telemetry::ReasonLabels;

/// Buckets that the conventions advise for durations, in seconds.
pub(super) const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Upper bounds of bodies, in bytes.
const BYTES: &[f64] =
    &[0.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 16_777_216.0];

/// The metrics. Handles that share their counts when cloned.
#[derive(Clone, Debug, Default)]
pub struct RequestMetrics {
    /// What was not understood, by reason.
    pub losses: Family<ReasonLabels, Counter>,
    /// Connections that are followed.
    pub connections: Gauge,
    /// Spans that were handed out.
    pub spans: Counter,
    held: Arc<Mutex<Held>>,
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) requests: Series<Key, Measures>,
    pub(super) edges: Series<Edge, EdgeMeasures>,
    /// Requests that are being served, by service and method.
    pub(super) active: Vec<((Arc<str>, &'static str), u64)>,
}

/// Of one series of requests.
#[derive(Debug)]
pub(super) struct Measures {
    pub(super) seconds: Distribution,
    /// The same as it is scraped: only this kind can carry exemplars.
    pub(super) scraped: HistogramWithExemplars<TraceLabel>,
    /// Of a server: bytes of the bodies of requests and responses.
    pub(super) bodies: Option<[Distribution; 2]>,
    /// A request that is an example, with its trace.
    pub(super) exemplar: Option<Exemplar>,
}

/// What leads from an exemplar to its trace.
pub(super) type TraceLabel = [(&'static str, String); 1];

/// One of the values that were counted, and where more is told of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exemplar {
    pub(super) seconds: f64,
    pub(super) trace_id: TraceId,
    pub(super) at_ns: u64,
}

/// Of one pair of services.
#[derive(Debug)]
pub(super) struct EdgeMeasures {
    pub(super) failed: u64,
    pub(super) total: u64,
    pub(super) client_seconds: Distribution,
    pub(super) server_seconds: Distribution,
}

impl Grouped for Key {
    type Group = (Arc<str>, bool);

    fn group(&self) -> Self::Group {
        (Arc::clone(&self.spoken.service), self.is_server)
    }

    fn overflow(self) -> Self {
        self.overflow()
    }

    fn is_overflow(&self) -> bool {
        self.is_overflow()
    }
}

impl RequestMetrics {
    /// Adds an exchange that has ended. `trace` is given if more will be told of it.
    pub(super) fn add(
        &self,
        key: &Key,
        exchange: &Exchange,
        timing: Timing,
        trace: Option<TraceId>,
    ) {
        let mut held = self.held();
        let measures = held.requests.at(key, timing.end_ns, Measures::new);
        let seconds = timing.seconds();
        measures.seconds.add(seconds);
        let label = trace.map(|id| [("trace_id", id.to_string())]);
        measures.scraped.observe(seconds, label, None);
        if let Some([requests, responses]) = &mut measures.bodies {
            requests.add(precise(exchange.request.transfer.body_bytes));
            let sent = exchange.response.as_ref().map_or(0, |one| one.transfer.body_bytes);
            responses.add(precise(sent));
        }
        if let Some(trace_id) = trace {
            measures.exemplar = Some(Exemplar { seconds, trace_id, at_ns: timing.end_ns });
        }
    }

    /// Adds a request that one service sent to another, as the client saw it.
    pub(super) fn sent(&self, edge: &Edge, timing: Timing, failed: bool) {
        let mut held = self.held();
        let measures = held.edges.at(edge, timing.end_ns, |_| EdgeMeasures::new());
        measures.total += 1;
        measures.failed += u64::from(failed);
        measures.client_seconds.add(timing.seconds());
    }

    /// Adds how long such a request took as the server saw it.
    pub(super) fn served(&self, edge: &Edge, timing: Timing) {
        let mut held = self.held();
        let measures = held.edges.at(edge, timing.end_ns, |_| EdgeMeasures::new());
        measures.server_seconds.add(timing.seconds());
    }

    /// States how many requests are being served.
    pub(super) fn set_active(&self, active: Vec<((Arc<str>, &'static str), u64)>) {
        self.held().active = active;
    }

    /// Adds what was not understood.
    pub fn count(&self, counts: &Counts) {
        let losses = Loss::ALL.map(|loss| (loss.label(), counts.lost(loss)));
        let given_up = GiveUp::ALL.map(|reason| (reason.label(), counts.gave_up(reason)));
        for (reason, count) in losses.into_iter().chain(given_up) {
            self.add_losses(reason, count);
        }
    }

    /// Adds what was lost before anybody could read it.
    pub fn lose(&self, reason: DropReason, count: u64) {
        self.add_losses(reason.label(), count);
    }

    fn add_losses(&self, reason: &'static str, count: u64) {
        if count > 0 {
            self.losses.get_or_create(&ReasonLabels { reason }).inc_by(count);
        }
    }

    /// Forgets series that were not used for long.
    pub fn expire(&self, now_ns: u64) {
        let mut held = self.held();
        held.requests.expire(now_ns);
        held.edges.expire(now_ns);
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All under their names.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
        let ours = registry.sub_registry_with_prefix("sonde_agent");
        ours.register(
            "http_losses",
            "Parts of HTTP connections that were not understood, by reason",
            self.losses.clone(),
        );
        ours.register(
            "http_connections",
            "Connections whose exchanges are followed",
            self.connections.clone(),
        );
        ours.register("spans", "Spans of HTTP requests that were kept", self.spans.clone());
    }
}

impl Measures {
    fn new(key: &Key) -> Self {
        let bodies = || [Distribution::new(BYTES), Distribution::new(BYTES)];
        Self {
            seconds: Distribution::new(SECONDS),
            scraped: HistogramWithExemplars::new(SECONDS.iter().copied()),
            bodies: key.is_server.then(bodies),
            exemplar: None,
        }
    }
}

impl EdgeMeasures {
    fn new() -> Self {
        Self {
            failed: 0,
            total: 0,
            client_seconds: Distribution::new(SECONDS),
            server_seconds: Distribution::new(SECONDS),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a body of 2^53 bytes would take years")]
fn precise(bytes: u64) -> f64 {
    bytes as f64
}
