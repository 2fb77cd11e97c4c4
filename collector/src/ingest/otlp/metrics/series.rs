//! The series of a request's points: each once, by the hash of everything that it is.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    HistogramDataPoint, Metric, ResourceMetrics, ScopeMetrics,
};
use prost::Message;
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::Xxh3;

use crate::ingest::otlp::attributes;
use crate::ingest::otlp::batch::{Context, Texts};
use crate::ingest::otlp::rejected::Rejection;
use crate::metric::{MetricSeries, PointKind};

/// What a metric says of all its points.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Instrument {
    pub(super) kind: PointKind,
    pub(super) temporality: u8,
    pub(super) monotonic: bool,
}

/// Series by their content, and where in the request we are.
pub(super) struct SeriesOf<'a> {
    context: &'a Context<'a>,
    known: FxHashMap<u64, Arc<MetricSeries>>,
    texts: Texts,
    /// The series of the points that follow, without attributes and id.
    current: Result<MetricSeries, Rejection>,
    service: Result<Arc<str>, Rejection>,
    resource: Arc<[u8]>,
    scope: Arc<[u8]>,
}

impl<'a> SeriesOf<'a> {
    pub(super) fn new(context: &'a Context<'a>) -> Self {
        Self {
            context,
            known: FxHashMap::default(),
            texts: Texts::default(),
            current: Err(Rejection::MetricName),
            service: Ok(Arc::default()),
            resource: Arc::default(),
            scope: Arc::default(),
        }
    }

    pub(super) fn begin_resource(&mut self, of: &ResourceMetrics) {
        let service = attributes::service(of.resource.as_ref());
        let fits = service.len() <= self.context.limits.label_value_bytes;
        self.service = fits.then(|| self.texts.get(service)).ok_or(Rejection::ServiceName);
        self.resource = of.encode_to_vec().into();
    }

    pub(super) fn begin_scope(&mut self, of: &ScopeMetrics) {
        self.scope = of.encode_to_vec().into();
    }

    pub(super) fn begin_metric(&mut self, of: &Metric, instrument: Instrument) {
        self.current = self.metric(of, instrument);
    }

    fn metric(&mut self, of: &Metric, instrument: Instrument) -> Result<MetricSeries, Rejection> {
        let limit = self.context.limits.label_value_bytes;
        if of.name.is_empty() || of.name.len() > limit || of.unit.len() > limit {
            return Err(Rejection::MetricName);
        }
        Ok(MetricSeries {
            id: 0,
            service: self.service.clone()?,
            metric: self.texts.get(&of.name),
            unit: self.texts.get(&of.unit),
            description: self.texts.get(&of.description),
            kind: instrument.kind,
            temporality: instrument.temporality,
            monotonic: instrument.monotonic,
            attributes: Arc::default(),
            resource: Arc::clone(&self.resource),
            scope: Arc::clone(&self.scope),
        })
    }

    /// The series of a point with these attributes; their order is no part of it.
    pub(super) fn of(
        &mut self,
        mut attributes: Vec<KeyValue>,
    ) -> Result<Arc<MetricSeries>, Rejection> {
        let current = self.current.as_ref().map_err(|why| *why)?;
        attributes.sort_by(|a, b| a.key.cmp(&b.key));
        let attributes =
            HistogramDataPoint { attributes, ..HistogramDataPoint::default() }.encode_to_vec();
        let id = hash(current, &attributes);
        if let Some(known) = self.known.get(&id) {
            return Ok(Arc::clone(known));
        }
        let series =
            Arc::new(MetricSeries { id, attributes: attributes.into(), ..current.clone() });
        self.known.insert(id, Arc::clone(&series));
        Ok(series)
    }
}

/// Each part ends with its length, so that ("ab", "c") and ("a", "bc") differ. The description is
/// no part of what a series is.
fn hash(series: &MetricSeries, attributes: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    let texts = [&series.service, &series.metric, &series.unit].map(|text| text.as_bytes());
    for part in texts.into_iter().chain([&series.resource[..], &series.scope, attributes]) {
        hasher.update(part);
        hasher.update(&(part.len() as u64).to_le_bytes());
    }
    hasher.update(&[series.kind as u8, series.temporality, u8::from(series.monotonic)]);
    hasher.digest()
}
