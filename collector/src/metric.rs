//! A metric point as it is stored, and the series that it belongs to. Wire formats are `ingest`'s;
//! rates and quantiles are `query`'s.

use std::sync::Arc;

/// What stays the same from point to point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricSeries {
    /// Hash of everything below.
    pub id: u64,
    /// `service.name` of the resource.
    pub service: Arc<str>,
    /// Name of the metric.
    pub metric: Arc<str>,
    /// Unit, as `s`.
    pub unit: Arc<str>,
    /// What the metric says of itself.
    pub description: Arc<str>,
    /// What its points are.
    pub kind: PointKind,
    /// OTLP's number: 0 unspecified, 1 delta, 2 cumulative.
    pub temporality: u8,
    /// Whether a sum only grows.
    pub monotonic: bool,
    /// `HistogramDataPoint` with nothing but the attributes, in the order of their keys.
    pub attributes: Arc<[u8]>,
    /// `ResourceMetrics` without metrics.
    pub resource: Arc<[u8]>,
    /// `ScopeMetrics` without metrics.
    pub scope: Arc<[u8]>,
}

/// OTLP's kinds of points. The numbers are stored: append, never renumber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PointKind {
    /// A value at a time.
    #[default]
    Gauge = 1,
    /// A sum over time.
    Sum = 2,
    /// Counts in buckets with explicit bounds.
    Histogram = 3,
    /// Counts in buckets whose bounds grow by a factor.
    ExponentialHistogram = 4,
    /// Quantiles that the sender computed.
    Summary = 5,
}

impl PointKind {
    /// The kind of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Gauge, Self::Sum, Self::Histogram, Self::ExponentialHistogram, Self::Summary]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// `MetricSeries::temporality` of points that count since the point before.
pub const DELTA: u8 = 1;

/// One point of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its series.
    pub series: Arc<MetricSeries>,
    /// Since when it counts, in nanoseconds since 1970; 0 where the sender does not say.
    pub start_unix_ns: i64,
    /// Its time, in nanoseconds since 1970.
    pub unix_ns: i64,
    /// OTLP's data point of the series' kind, without attributes, times and exemplars.
    pub data: Arc<[u8]>,
}
