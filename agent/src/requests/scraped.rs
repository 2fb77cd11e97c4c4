//! The metrics of requests in the text that Prometheus scrapes.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::RequestMetrics;
use super::key::Key;
use super::red::{Held, Measures};
use super::spansums::{SPAN_LABELS, SpanSum, sum_by_span};
use crate::aggregate::Distribution;

type Labels = Vec<(String, String)>;

impl Collector for RequestMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let held = self.held();
        seconds(&held, &mut encoder, true)?;
        seconds(&held, &mut encoder, false)?;
        bodies(&held, &mut encoder)?;
        active(&held, &mut encoder)?;
        by_span(&held, &mut encoder)?;
        by_edge(&held, &mut encoder)
    }
}

fn seconds(held: &Held, encoder: &mut DescriptorEncoder<'_>, server: bool) -> fmt::Result {
    let (name, help) = if server {
        (
            "http_server_request_duration",
            "Duration of HTTP requests served, from their first byte received to the last byte sent",
        )
    } else {
        (
            "http_client_request_duration",
            "Duration of HTTP requests sent, from their first byte to the response's last",
        )
    };
    let unit = Unit::Seconds;
    let mut family = encoder.encode_descriptor(name, help, Some(&unit), MetricType::Histogram)?;
    for (key, measures) in of_side(held, server) {
        measures.scraped.encode(family.encode_family(&labels(key))?)?;
    }
    Ok(())
}

fn bodies(held: &Held, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    for (place, name, help) in [
        (
            0,
            "http_server_request_body_size",
            "Bytes of the bodies of HTTP requests served, as they came over the socket",
        ),
        (
            1,
            "http_server_response_body_size",
            "Bytes of the bodies of HTTP responses sent, as they went over the socket",
        ),
    ] {
        let unit = Unit::Bytes;
        let mut family =
            encoder.encode_descriptor(name, help, Some(&unit), MetricType::Histogram)?;
        for (key, measures) in of_side(held, true) {
            if let Some(bodies) = &measures.bodies {
                histogram(&mut family, &labels(key), &bodies[place])?;
            }
        }
    }
    Ok(())
}

fn active(held: &Held, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let (name, help) = ("http_server_active_requests", "HTTP requests that are being served");
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for ((service, method), count) in &held.active {
        let labels = [
            ("service_name", &**service),
            ("http_request_method", *method),
            ("url_scheme", "http"),
        ];
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        ConstGauge::new(count).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// What Tempo makes of spans; here of every request, whether its span was kept or not.
fn by_span(held: &Held, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let spans = sum_by_span(held);
    let named = |labels: &[String; 4]| {
        SPAN_LABELS.map(str::to_owned).into_iter().zip(labels.clone()).collect::<Labels>()
    };
    let (name, help) = ("traces_spanmetrics_calls", "HTTP requests by the name of their span");
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, SpanSum { sum, .. }) in &spans {
        ConstCounter::new(sum.count).encode(family.encode_family(&named(labels))?)?;
    }
    let (name, help) = ("traces_spanmetrics_latency", "Duration of HTTP requests in seconds");
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (labels, SpanSum { sum, .. }) in &spans {
        histogram(&mut family, &named(labels), sum)?;
    }
    Ok(())
}

fn by_edge(held: &Held, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    for (name, help, failed) in [
        ("traces_service_graph_request", "HTTP requests from one service to another", false),
        ("traces_service_graph_request_failed", "Those of them that failed", true),
    ] {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (edge, measures, _) in held.edges.iter() {
            let count = if failed { measures.failed } else { measures.total };
            ConstCounter::new(count).encode(family.encode_family(&edge.labels())?)?;
        }
    }
    for (name, help, server) in [
        ("traces_service_graph_request_server", "Their duration as the server saw it", true),
        ("traces_service_graph_request_client", "Their duration as the client saw it", false),
    ] {
        let unit = Unit::Seconds;
        let mut family =
            encoder.encode_descriptor(name, help, Some(&unit), MetricType::Histogram)?;
        for (edge, measures, _) in held.edges.iter() {
            let of = if server { &measures.server_seconds } else { &measures.client_seconds };
            let labels = edge.labels().map(|(name, value)| (name.to_owned(), value)).to_vec();
            histogram(&mut family, &labels, of)?;
        }
    }
    Ok(())
}

fn of_side(held: &Held, server: bool) -> impl Iterator<Item = (&Key, &Measures)> {
    let of_side = held.requests.iter().filter(move |(key, ..)| key.is_server == server);
    of_side.map(|(key, measures, _)| (key, measures))
}

fn histogram(
    family: &mut prometheus_client::encoding::MetricEncoder<'_>,
    labels: &Labels,
    of: &Distribution,
) -> fmt::Result {
    let bounds = of.bounds.iter().copied().chain([f64::MAX]);
    let buckets: Vec<(f64, u64)> = bounds.zip(of.counts.iter().copied()).collect();
    family.encode_family(labels)?.encode_histogram::<NoLabelSet>(of.sum, of.count, &buckets, None)
}

/// Prometheus has underscores where OpenTelemetry has dots.
fn labels(key: &Key) -> Labels {
    let service = ("service_name".to_owned(), key.spoken.service.to_string());
    let rest = key.attributes().into_iter().map(|(name, value)| (name.replace('.', "_"), value));
    [service].into_iter().chain(rest).collect()
}
