//! Metrics as OTLP writes them. All sums are cumulative.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge,
    Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    exemplar, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::Histograms;
use crate::aggregate::{self, Distribution, Measured, Point};
use crate::requests::ByService;

/// What is the same for all of a request.
pub(super) struct Around<'a> {
    pub(super) host: &'a str,
    pub(super) histograms: Histograms,
    /// When `CLOCK_BOOTTIME` was zero, in nanoseconds since 1970.
    pub(super) clock_ns: u64,
    /// The same as it was thought to be when sending began: a beginning that moves by a nanosecond is
    /// another series to some.
    pub(super) first_clock_ns: u64,
    /// Now, on `CLOCK_BOOTTIME`.
    pub(super) now_ns: u64,
}

pub(super) fn request(metrics: ByService, around: &Around<'_>) -> ExportMetricsServiceRequest {
    let resource_metrics = metrics
        .into_iter()
        .map(|(service, metrics)| ResourceMetrics {
            resource: Some(resource(service.as_ref(), around.host)),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(InstrumentationScope {
                    name: "sonde-agent".into(),
                    version: env!("CARGO_PKG_VERSION").into(),
                    ..InstrumentationScope::default()
                }),
                metrics: metrics.iter().map(|metric| around.metric(metric)).collect(),
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        })
        .collect();
    ExportMetricsServiceRequest { resource_metrics }
}

/// All of a service's processes on this host are counted together: there is no one instance.
fn resource(service: Option<&Arc<str>>, host: &str) -> Resource {
    let service = service.map_or("sonde-agent", |service| service);
    let attributes = [
        KeyValue::new("service.name", service.to_owned()),
        KeyValue::new("host.name", host.to_owned()),
    ];
    Resource { attributes: written(&attributes), ..Resource::default() }
}

impl Around<'_> {
    fn metric(&self, of: &aggregate::Metric) -> Metric {
        let temporality = AggregationTemporality::Cumulative.into();
        let data = match of.points.first().map(|point| &point.value) {
            Some(Measured::Histogram(_)) if self.histograms == Histograms::Exponential => {
                let points = of.points.iter().filter_map(|point| self.exponential(point));
                metric::Data::ExponentialHistogram(ExponentialHistogram {
                    data_points: points.collect(),
                    aggregation_temporality: temporality,
                })
            }
            Some(Measured::Histogram(_)) => {
                let points = of.points.iter().filter_map(|point| self.explicit(point));
                metric::Data::Histogram(Histogram {
                    data_points: points.collect(),
                    aggregation_temporality: temporality,
                })
            }
            Some(Measured::Gauge(_)) | None => metric::Data::Gauge(Gauge {
                data_points: of.points.iter().filter_map(|point| self.number(point)).collect(),
            }),
            Some(Measured::Counter(_) | Measured::UpDown(_)) => metric::Data::Sum(Sum {
                data_points: of.points.iter().filter_map(|point| self.number(point)).collect(),
                aggregation_temporality: temporality,
                is_monotonic: matches!(of.points[0].value, Measured::Counter(_)),
            }),
        };
        Metric {
            name: of.name.into(),
            description: of.description.into(),
            unit: of.unit.into(),
            data: Some(data),
            ..Metric::default()
        }
    }

    fn explicit(&self, point: &Point) -> Option<HistogramDataPoint> {
        let of = distribution(point)?;
        Some(HistogramDataPoint {
            attributes: attributes(point),
            start_time_unix_nano: self.since(point),
            time_unix_nano: self.unix(self.now_ns),
            count: of.count,
            sum: Some(of.sum),
            bucket_counts: of.counts.to_vec(),
            explicit_bounds: of.bounds.to_vec(),
            exemplars: self.exemplars(point),
            ..HistogramDataPoint::default()
        })
    }

    fn exponential(&self, point: &Point) -> Option<ExponentialHistogramDataPoint> {
        let of = distribution(point)?;
        let exponential = &of.exponential;
        Some(ExponentialHistogramDataPoint {
            attributes: attributes(point),
            start_time_unix_nano: self.since(point),
            time_unix_nano: self.unix(self.now_ns),
            count: of.count,
            sum: Some(of.sum),
            scale: exponential.scale,
            zero_count: exponential.zeros,
            positive: Some(Buckets {
                offset: exponential.offset,
                bucket_counts: exponential.counts.iter().copied().collect(),
            }),
            exemplars: self.exemplars(point),
            ..ExponentialHistogramDataPoint::default()
        })
    }

    fn number(&self, point: &Point) -> Option<NumberDataPoint> {
        let (Measured::Counter(value) | Measured::UpDown(value) | Measured::Gauge(value)) =
            point.value
        else {
            return None;
        };
        // Of what there is at the moment no beginning is known, nor asked for.
        let since = if point.since_ns == 0 { 0 } else { self.since(point) };
        Some(NumberDataPoint {
            attributes: attributes(point),
            start_time_unix_nano: since,
            time_unix_nano: self.unix(self.now_ns),
            value: Some(number_data_point::Value::AsDouble(value)),
            ..NumberDataPoint::default()
        })
    }

    fn exemplars(&self, point: &Point) -> Vec<Exemplar> {
        let exemplar = point.example.map(|example| Exemplar {
            time_unix_nano: self.unix(example.at_ns),
            trace_id: example.trace_id.to_bytes().to_vec(),
            value: Some(exemplar::Value::AsDouble(example.value)),
            ..Exemplar::default()
        });
        exemplar.into_iter().collect()
    }

    fn since(&self, point: &Point) -> u64 {
        self.first_clock_ns.saturating_add(point.since_ns)
    }

    fn unix(&self, boot_ns: u64) -> u64 {
        self.clock_ns.saturating_add(boot_ns)
    }
}

fn distribution(point: &Point) -> Option<&Distribution> {
    match &point.value {
        Measured::Histogram(of) => Some(of),
        _ => None,
    }
}

fn attributes(point: &Point) -> Vec<opentelemetry_proto::tonic::common::v1::KeyValue> {
    written(&point.attributes)
}

fn written(attributes: &[KeyValue]) -> Vec<opentelemetry_proto::tonic::common::v1::KeyValue> {
    attributes.iter().map(|one| (&one.key, &one.value).into()).collect()
}
