//! Why a row of a request was not taken while others were: one list for counts and for the answer.

/// A rule that a row broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub(crate) enum Rejection {
    TraceId,
    SpanId,
    ParentSpanId,
    NoTime,
    TooOld,
    InFuture,
    TooLarge,
    ServiceName,
    MetricName,
    NoValue,
    Buckets,
}

const ALL: [Rejection; 11] = [
    Rejection::TraceId,
    Rejection::SpanId,
    Rejection::ParentSpanId,
    Rejection::NoTime,
    Rejection::TooOld,
    Rejection::InFuture,
    Rejection::TooLarge,
    Rejection::ServiceName,
    Rejection::MetricName,
    Rejection::NoValue,
    Rejection::Buckets,
];

impl Rejection {
    /// The `reason` of the metric.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::TraceId => "trace_id",
            Self::SpanId => "span_id",
            Self::ParentSpanId => "parent_span_id",
            Self::NoTime => "no_time",
            Self::TooOld => "too_old",
            Self::InFuture => "in_future",
            Self::TooLarge => "too_large",
            Self::ServiceName => "service_name",
            Self::MetricName => "metric_name",
            Self::NoValue => "no_value",
            Self::Buckets => "buckets",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::TraceId => "the trace id is not 16 bytes, or all of them are 0",
            Self::SpanId => "the span id is not 8 bytes, or all of them are 0",
            Self::ParentSpanId => "the parent's span id is neither empty nor 8 bytes",
            Self::NoTime => "there is no time, or none that can be",
            Self::TooOld => "the time is older than what is kept",
            Self::InFuture => "the time is too far in the future: check the sender's clock",
            Self::TooLarge => "larger than what is kept in one piece",
            Self::ServiceName => "service.name is too long",
            Self::MetricName => "the metric's name is empty or too long",
            Self::NoValue => "there is no value",
            Self::Buckets => "bucket counts and bounds do not fit together",
        }
    }
}

/// How many rows of a request broke which rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rejected {
    counts: [u64; ALL.len()],
}

impl Rejected {
    pub(super) fn add(&mut self, why: Rejection) {
        self.counts[why as usize] += 1;
    }

    /// All rejected rows.
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Counts that are not 0.
    pub(crate) fn by_reason(&self) -> impl Iterator<Item = (Rejection, u64)> {
        ALL.into_iter().zip(self.counts).filter(|(_, count)| *count > 0)
    }

    /// For the sender; empty if nothing was rejected.
    pub(super) fn message(&self, rows: &str) -> String {
        let one = |(why, count): (Rejection, u64)| format!("{count} {rows}: {}", why.text());
        self.by_reason().map(one).collect::<Vec<_>>().join("; ")
    }
}
