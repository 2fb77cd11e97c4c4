//! Metrics as they leave the agent, whatever they measure: a name, and a value for each set of
//! attributes. How they are written is the exporters' business.

use opentelemetry::KeyValue;
use opentelemetry::trace::TraceId;

use super::Distribution;

/// One metric of one service.
#[derive(Clone, Debug)]
pub struct Metric {
    /// By OpenTelemetry's conventions.
    pub name: &'static str,
    /// In UCUM.
    pub unit: &'static str,
    /// What it counts, in a sentence without a full stop.
    pub description: &'static str,
    /// One for each set of attributes.
    pub points: Vec<Point>,
}

/// A value under its attributes.
#[derive(Clone, Debug)]
pub struct Point {
    /// What tells it from the others.
    pub attributes: Vec<KeyValue>,
    /// When counting began, on `CLOCK_BOOTTIME`, in nanoseconds.
    pub since_ns: u64,
    /// The value.
    pub value: Measured,
    /// One of what was counted.
    pub example: Option<Example>,
}

/// One of the values of a histogram, and the trace that tells more of it.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// Itself.
    pub value: f64,
    /// Its trace.
    pub trace_id: TraceId,
    /// When it was, on `CLOCK_BOOTTIME`, in nanoseconds.
    pub at_ns: u64,
}

/// What was measured since the beginning.
#[derive(Clone, Debug)]
pub enum Measured {
    /// A sum that only grows.
    Counter(f64),
    /// What there is at the moment, which adds up over attributes.
    UpDown(f64),
    /// What there is at the moment, which does not.
    Gauge(f64),
    /// How values are spread.
    Histogram(Box<Distribution>),
}
