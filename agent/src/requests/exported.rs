//! The metrics of requests as they leave the agent: by service, under OpenTelemetry's names.

use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry::{KeyValue, Value};

use super::RequestMetrics;
use super::key::Key;
use super::red::{Exemplar, Held};
use super::spansums::{SPAN_LABELS, SpanSum, sum_by_span};
use crate::aggregate::{Distribution, Example, Measured, Metric, Point};

/// Metrics by the service that they are of; `None` has those between services.
pub type ByService = BTreeMap<Option<Arc<str>>, Vec<Metric>>;

impl RequestMetrics {
    /// All that was counted so far.
    #[must_use]
    pub fn export(&self) -> ByService {
        let held = self.held();
        let mut all = ByService::new();
        requests(&held, &mut all);
        active(&held, &mut all);
        by_span(&held, &mut all);
        let edges = by_edge(&held);
        if !edges.is_empty() {
            all.insert(None, edges);
        }
        all
    }
}

const SERVER_SECONDS: Metric = Metric {
    name: "http.server.request.duration",
    unit: "s",
    description: "Duration of HTTP server requests",
    points: Vec::new(),
};
const CLIENT_SECONDS: Metric = Metric {
    name: "http.client.request.duration",
    unit: "s",
    description: "Duration of HTTP client requests",
    points: Vec::new(),
};
const BODIES: [Metric; 2] = [
    Metric {
        name: "http.server.request.body.size",
        unit: "By",
        description: "Size of HTTP server request bodies",
        points: Vec::new(),
    },
    Metric {
        name: "http.server.response.body.size",
        unit: "By",
        description: "Size of HTTP server response bodies",
        points: Vec::new(),
    },
];
const ACTIVE: Metric = Metric {
    name: "http.server.active_requests",
    unit: "{request}",
    description: "Number of active HTTP server requests",
    points: Vec::new(),
};

fn requests(held: &Held, all: &mut ByService) {
    for (key, measures, since_ns) in held.requests.iter() {
        let attributes = attributes(key);
        let example = measures.exemplar.map(example);
        let metric = if key.is_server { &SERVER_SECONDS } else { &CLIENT_SECONDS };
        let point = point(attributes.clone(), since_ns, &measures.seconds, example);
        add(all, &key.spoken.service, metric, point);
        for (metric, sizes) in BODIES.iter().zip(measures.bodies.iter().flatten()) {
            let point = self::point(attributes.clone(), since_ns, sizes, None);
            add(all, &key.spoken.service, metric, point);
        }
    }
}

fn active(held: &Held, all: &mut ByService) {
    for ((service, method), count) in &held.active {
        let attributes = vec![
            KeyValue::new("http.request.method", *method),
            KeyValue::new("url.scheme", "http"),
        ];
        let value = Measured::UpDown(f64::from(u32::try_from(*count).unwrap_or(u32::MAX)));
        add(all, service, &ACTIVE, Point { attributes, since_ns: 0, value, example: None });
    }
}

/// What Tempo makes of spans; here of every request, whether its span was kept or not.
fn by_span(held: &Held, all: &mut ByService) {
    for (labels, SpanSum { service, since_ns, sum }) in sum_by_span(held) {
        let attributes = || {
            let pairs = SPAN_LABELS.into_iter().zip(labels.clone());
            pairs.map(|(name, value)| KeyValue::new(name, value)).collect::<Vec<_>>()
        };
        let calls = Metric {
            name: "traces_spanmetrics_calls_total",
            unit: "{request}",
            description: "HTTP requests by the name of their span",
            points: Vec::new(),
        };
        let value = Measured::Counter(whole(sum.count));
        let count = Point { attributes: attributes(), since_ns, value, example: None };
        add(all, &service, &calls, count);
        let latency = Metric {
            name: "traces_spanmetrics_latency",
            unit: "s",
            description: "Duration of HTTP requests by the name of their span",
            points: Vec::new(),
        };
        add(all, &service, &latency, point(attributes(), since_ns, &sum, None));
    }
}

/// The names are Tempo's.
fn by_edge(held: &Held) -> Vec<Metric> {
    let metric = |name, unit, description| Metric { name, unit, description, points: Vec::new() };
    let mut total = metric(
        "traces_service_graph_request_total",
        "{request}",
        "HTTP requests from one service to another",
    );
    let mut failed =
        metric("traces_service_graph_request_failed_total", "{request}", "Those that failed");
    let mut server = metric(
        "traces_service_graph_request_server_seconds",
        "s",
        "Their duration as the server saw it",
    );
    let mut client = metric(
        "traces_service_graph_request_client_seconds",
        "s",
        "Their duration as the client saw it",
    );
    for (edge, measures, since_ns) in held.edges.iter() {
        let attributes = || edge.labels().map(|(name, value)| KeyValue::new(name, value)).to_vec();
        let counter = |count| Point {
            attributes: attributes(),
            since_ns,
            value: Measured::Counter(whole(count)),
            example: None,
        };
        total.points.push(counter(measures.total));
        failed.points.push(counter(measures.failed));
        server.points.push(point(attributes(), since_ns, &measures.server_seconds, None));
        client.points.push(point(attributes(), since_ns, &measures.client_seconds, None));
    }
    let all = [total, failed, server, client];
    all.into_iter().filter(|metric| !metric.points.is_empty()).collect()
}

fn add(all: &mut ByService, service: &Arc<str>, metric: &Metric, point: Point) {
    let metrics = all.entry(Some(Arc::clone(service))).or_default();
    match metrics.iter_mut().find(|known| known.name == metric.name) {
        Some(known) => known.points.push(point),
        None => metrics.push(Metric { points: vec![point], ..metric.clone() }),
    }
}

fn point(
    attributes: Vec<KeyValue>,
    since_ns: u64,
    of: &Distribution,
    example: Option<Example>,
) -> Point {
    Point { attributes, since_ns, value: Measured::Histogram(Box::new(of.clone())), example }
}

fn example(of: Exemplar) -> Example {
    Example { value: of.seconds, trace_id: of.trace_id, at_ns: of.at_ns }
}

/// The conventions want numbers where there are numbers.
fn attributes(key: &Key) -> Vec<KeyValue> {
    let typed = |(name, value): (&'static str, String)| {
        let value: Value = match name {
            "http.response.status_code" | "server.port" => {
                value.parse::<i64>().map_or_else(|_| value.into(), Into::into)
            }
            super::key::OVERFLOW => true.into(),
            _ => value.into(),
        };
        KeyValue::new(name, value)
    };
    key.attributes().into_iter().map(typed).collect()
}

#[expect(clippy::cast_precision_loss, reason = "2^53 requests take longer than any uptime")]
fn whole(count: u64) -> f64 {
    count as f64
}
