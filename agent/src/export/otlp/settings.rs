//! What OTLP needs to be told.

use std::time::Duration;

use crate::config::Secret;

/// Where to send, how, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpSettings {
    /// Where spans go: the whole address over HTTP, the server's over gRPC.
    pub traces: String,
    /// Where metrics go.
    pub metrics: String,
    /// How.
    pub protocol: Protocol,
    /// Headers of every request. Values are secrets: that is what such headers are mostly for.
    pub headers: Vec<(String, Secret)>,
    /// Longest time for one request with its repetitions.
    pub timeout: Duration,
    /// How often metrics are sent.
    pub interval: Duration,
    /// Which kind of histogram.
    pub histograms: Histograms,
}

/// What OTLP is spoken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP with protobuf.
    Http,
    /// gRPC.
    Grpc,
}

/// How distributions are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Histograms {
    /// Between fixed bounds.
    Explicit,
    /// In exponential buckets.
    Exponential,
}

impl OtlpSettings {
    /// To a server that takes everything at one address, with nothing else said.
    #[must_use]
    pub fn new(base: &str, protocol: Protocol) -> Self {
        let base = base.trim_end_matches('/');
        let address = |path: &str| match protocol {
            Protocol::Http => format!("{base}/v1/{path}"),
            Protocol::Grpc => base.to_owned(),
        };
        Self {
            traces: address("traces"),
            metrics: address("metrics"),
            protocol,
            headers: Vec::new(),
            timeout: Duration::from_secs(10),
            interval: Duration::from_secs(10),
            histograms: Histograms::Explicit,
        }
    }
}
