//! Rate, errors and duration by service, route and outcome, as OpenTelemetry's conventions for HTTP
//! name and cut them: <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>.

use std::{
    collections::hash_map::Entry,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use rustc_hash::FxHashMap;
use sonde_ebpf::DropReason;

use super::route::route_of;
use crate::{
    http::{Counts, Exchange, GiveUp, Loss, Outcome, Side},
    telemetry::ReasonLabels,
};

/// Buckets that the conventions advise for durations, in seconds.
const SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Upper bounds of bodies, in bytes.
const BYTES: [f64; 10] =
    [0.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 16_777_216.0];
/// Series of one service and side; what comes beyond shares one.
const MAX_SERIES: usize = 10_000;
/// A series that was not asked for in so long is forgotten.
const STALE_NS: u64 = 15 * 60 * 1_000_000_000;

/// Methods that have a name of their own (RFC 9110, RFC 5789).
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

type Labels = Vec<(&'static str, String)>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// Whose exchange it was, and with whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spoken {
    /// `service.name` of the observed process.
    pub service: Arc<str>,
    /// Where a client's request went: the `Host` field or the peer's address, and the port.
    pub server: Option<(Arc<str>, u16)>,
}

/// The metrics. Handles that share their counts when cloned.
#[derive(Clone, Debug)]
pub struct RequestMetrics {
    server_seconds: Histograms,
    client_seconds: Histograms,
    request_bytes: Histograms,
    response_bytes: Histograms,
    /// Requests that are being served.
    pub active: Family<Labels, Gauge>,
    /// What was not understood, by reason.
    pub losses: Family<ReasonLabels, Counter>,
    /// Connections that are followed.
    pub connections: Gauge,
    series: Arc<Mutex<Series>>,
}

#[derive(Debug, Default)]
struct Series {
    known: FxHashMap<Key, Held>,
    /// By service and side.
    counts: FxHashMap<(Arc<str>, bool), usize>,
}

/// What tells series apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    spoken: Spoken,
    is_server: bool,
    method: &'static str,
    route: Box<str>,
    status: u16,
    error: &'static str,
}

/// The histograms of a series, so that they are looked up once.
#[derive(Clone, Debug)]
struct Held {
    seconds: Histogram,
    bodies: Option<(Histogram, Histogram)>,
    labels: Labels,
    last_ns: u64,
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

fn bytes() -> Histogram {
    Histogram::new(BYTES)
}

impl Default for RequestMetrics {
    fn default() -> Self {
        Self {
            server_seconds: Family::new_with_constructor(seconds),
            client_seconds: Family::new_with_constructor(seconds),
            request_bytes: Family::new_with_constructor(bytes),
            response_bytes: Family::new_with_constructor(bytes),
            active: Family::default(),
            losses: Family::default(),
            connections: Gauge::default(),
            series: Arc::default(),
        }
    }
}

impl RequestMetrics {
    /// Adds an exchange that has ended.
    pub fn add(&self, exchange: &Exchange, spoken: &Spoken) {
        let Some((duration, last_ns)) = timing(exchange) else { return };
        let key = Key::of(exchange, spoken);
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let held = series.held(self, key);
        held.last_ns = held.last_ns.max(last_ns);
        held.seconds.observe(duration.as_secs_f64());
        if let Some((request, response)) = &held.bodies {
            request.observe(precise(exchange.request.transfer.body_bytes));
            let sent = exchange.response.as_ref().map_or(0, |one| one.transfer.body_bytes);
            response.observe(precise(sent));
        }
    }

    /// Adds what was not understood.
    pub fn count(&self, counts: &Counts) {
        let losses = Loss::ALL.map(|loss| (loss.label(), counts.lost(loss)));
        let given_up = GiveUp::ALL.map(|reason| (reason.label(), counts.gave_up(reason)));
        for (reason, count) in losses.into_iter().chain(given_up) {
            self.add_losses(reason, count);
        }
    }

    /// Adds calls on sockets that were lost before anybody could read them.
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
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let Series { known, counts } = &mut *series;
        known.retain(|key, held| {
            let lives = now_ns.saturating_sub(held.last_ns) < STALE_NS;
            if !lives {
                self.remove(key, &held.labels);
                let of = (Arc::clone(&key.spoken.service), key.is_server);
                // What series beyond the limit share was not counted as one.
                if let Some(count) = counts.get_mut(&of).filter(|_| key.method != OVERFLOW) {
                    *count = count.saturating_sub(1);
                }
            }
            lives
        });
        counts.retain(|_, count| *count > 0);
    }

    fn remove(&self, key: &Key, labels: &Labels) {
        let seconds = if key.is_server { &self.server_seconds } else { &self.client_seconds };
        seconds.remove(labels);
        self.request_bytes.remove(labels);
        self.response_bytes.remove(labels);
    }

    /// All under their names.
    pub fn register(&self, registry: &mut Registry) {
        let mut seconds = |name: &str, help: &str, family: &Histograms| {
            registry.register_with_unit(name, help, Unit::Seconds, family.clone());
        };
        seconds(
            "http_server_request_duration",
            "Duration of HTTP requests served, from their first byte received to the last byte sent",
            &self.server_seconds,
        );
        seconds(
            "http_client_request_duration",
            "Duration of HTTP requests sent, from their first byte to the response's last",
            &self.client_seconds,
        );
        registry.register_with_unit(
            "http_server_request_body_size",
            "Bytes of the bodies of HTTP requests served, as they came over the socket",
            Unit::Bytes,
            self.request_bytes.clone(),
        );
        registry.register_with_unit(
            "http_server_response_body_size",
            "Bytes of the bodies of HTTP responses sent, as they went over the socket",
            Unit::Bytes,
            self.response_bytes.clone(),
        );
        registry.register(
            "http_server_active_requests",
            "HTTP requests that are being served",
            self.active.clone(),
        );
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
    }
}

impl Series {
    /// The series of a key, or the one that all share for which there is no room.
    fn held(&mut self, metrics: &RequestMetrics, mut key: Key) -> &mut Held {
        if !self.known.contains_key(&key) {
            let of = (Arc::clone(&key.spoken.service), key.is_server);
            let count = self.counts.entry(of).or_default();
            if *count >= MAX_SERIES {
                key = key.overflow();
            } else {
                *count += 1;
            }
        }
        match self.known.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let held = metrics.histograms(new.key());
                new.insert(held)
            }
        }
    }
}

impl RequestMetrics {
    fn histograms(&self, key: &Key) -> Held {
        let labels = key.labels();
        let family = if key.is_server { &self.server_seconds } else { &self.client_seconds };
        let seconds = family.get_or_create(&labels).clone();
        let bodies = key.is_server.then(|| {
            let one = |family: &Histograms| family.get_or_create(&labels).clone();
            (one(&self.request_bytes), one(&self.response_bytes))
        });
        Held { seconds, bodies, labels, last_ns: 0 }
    }
}

impl Key {
    fn of(exchange: &Exchange, spoken: &Spoken) -> Self {
        let is_server = exchange.side == Side::Server;
        let method = exchange.request.method();
        let method = METHODS.iter().find(|known| **known == method).copied().unwrap_or("_OTHER");
        let status = exchange.response.as_ref().map_or(0, |response| response.status);
        Self {
            spoken: spoken.clone(),
            is_server,
            method,
            // A client does not know how the server cuts its paths.
            route: if is_server { route_of(exchange.request.path()).into() } else { "".into() },
            status,
            error: error_of(exchange, is_server, status),
        }
    }

    fn overflow(self) -> Self {
        Self { method: OVERFLOW, route: "".into(), status: 0, error: "", ..self }
    }

    fn labels(&self) -> Labels {
        let mut labels = vec![("service_name", self.spoken.service.to_string())];
        if self.method == OVERFLOW {
            labels.push((OVERFLOW, "true".into()));
            return labels;
        }
        labels.push(("http_request_method", self.method.into()));
        if !self.route.is_empty() {
            labels.push(("http_route", self.route.to_string()));
        }
        if self.status != 0 {
            labels.push(("http_response_status_code", self.status.to_string()));
        }
        match self.error {
            "" => {}
            STATUS => labels.push(("error_type", self.status.to_string())),
            error => labels.push(("error_type", error.into())),
        }
        match &self.spoken.server {
            Some((address, port)) => {
                labels.push(("server_address", address.to_string()));
                labels.push(("server_port", port.to_string()));
            }
            None => labels.push(("url_scheme", "http".into())),
        }
        labels
    }
}

/// What OpenTelemetry calls series beyond a limit.
const OVERFLOW: &str = "otel_metric_overflow";
/// Stands for the status code itself.
const STATUS: &str = "status";

/// `error.type`: the status where the conventions call it an error, or how it ended.
fn error_of(exchange: &Exchange, is_server: bool, status: u16) -> &'static str {
    match exchange.outcome {
        Outcome::NoResponse(_) => "no_response",
        Outcome::Aborted(_) => "aborted",
        Outcome::TimedOut => "timeout",
        Outcome::GaveUp(_) | Outcome::LostBytes => "",
        Outcome::Complete | Outcome::Upgraded => {
            let from = if is_server { 500 } else { 400 };
            if status >= from { STATUS } else { "" }
        }
    }
}

/// How long an exchange took, and when it ended. `None` where its end is not known.
fn timing(exchange: &Exchange) -> Option<(Duration, u64)> {
    if matches!(exchange.outcome, Outcome::LostBytes | Outcome::GaveUp(_)) {
        return None;
    }
    let begun = exchange.request.transfer.first_ns;
    let ended = exchange
        .response
        .as_ref()
        .map_or(exchange.request.transfer.last_ns, |response| response.transfer.last_ns);
    Some((Duration::from_nanos(ended.saturating_sub(begun)), ended))
}

#[expect(clippy::cast_precision_loss, reason = "a body of 2^53 bytes would take years")]
fn precise(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Chunk, Connection, Direction, Found};

    fn spoken() -> Spoken {
        Spoken { service: "shop".into(), server: None }
    }

    /// What a server that is asked for `path` answers with this status.
    fn exchange(path: &str, status: u16, boot_ns: u64) -> Exchange {
        let (mut connection, mut found) = (Connection::new(1), Found::default());
        let asked = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
        for (direction, bytes) in [(Direction::Received, &asked), (Direction::Sent, &answer)] {
            let chunk = Chunk {
                direction,
                position: 0,
                length: bytes.len() as u64,
                captured: bytes.as_bytes(),
                ends_chunked: false,
                boot_ns,
                arrived_ns: 0,
                tid: 5,
            };
            connection.chunk(&chunk, &mut found);
        }
        found.exchanges.pop().expect("one")
    }

    #[test]
    fn errors_are_what_the_conventions_call_errors() {
        let error = |status, is_server| error_of(&exchange("/", status, 5), is_server, status);
        assert_eq!((error(404, true), error(404, false)), ("", STATUS));
        assert_eq!((error(503, true), error(200, false)), (STATUS, ""));
    }

    #[test]
    fn series_beyond_the_limit_share_one_and_all_go_stale() {
        let metrics = RequestMetrics::default();
        for number in 0..MAX_SERIES + 500 {
            let word: String = format!("{number:05}").bytes().map(|b| char::from(b + 49)).collect();
            metrics.add(&exchange(&format!("/{word}"), 200, 5), &spoken());
        }
        let known = || metrics.series.lock().unwrap_or_else(PoisonError::into_inner).known.len();
        assert_eq!(known(), MAX_SERIES + 1);
        let overflow = vec![("service_name", "shop".to_owned()), (OVERFLOW, "true".to_owned())];
        assert!(metrics.server_seconds.get(&overflow).is_some());
        metrics.add(&exchange("/late", 200, STALE_NS), &spoken());
        metrics.expire(STALE_NS + 10);
        assert_eq!(known(), 1, "the one that was used last: it shares");
        assert!(metrics.server_seconds.get(&overflow).is_some());
        metrics.add(&exchange("/again", 200, STALE_NS + 20), &spoken());
        assert_eq!(known(), 2, "there is room again");
    }
}
