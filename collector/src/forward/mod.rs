//! Passes OTLP on to another backend, as it was received. A backend that is slow or gone costs
//! requests that are counted, never the ingest's time.

mod backoff;
mod client;
mod metrics;
mod queue;
mod sender;

pub use client::SetupError;
pub(crate) use client::endpoint;
pub use metrics::ForwardMetrics;
pub use sender::{Forwarder, Sender, channel};

use axum::body::Bytes;

use crate::ingest::OtlpSignal;

/// One request as it was received.
#[derive(Clone, Debug)]
pub struct Forwarded {
    /// What it carries.
    pub signal: OtlpSignal,
    /// Its body.
    pub body: Bytes,
    /// `application/json` rather than protobuf.
    pub json: bool,
    /// Whether the body is gzipped.
    pub gzip: bool,
}

/// What the queue may hold, and how long a request is tried.
#[derive(Clone, Debug)]
pub struct ForwardSettings {
    /// Where to: an OTLP/HTTP endpoint without `/v1/traces`.
    pub url: String,
    /// Bytes that may wait.
    pub queue_bytes: usize,
    /// Requests that may wait.
    pub queue_requests: usize,
    /// Requests under way at the same time.
    pub connections: usize,
    /// An attempt that takes longer has failed.
    pub timeout: std::time::Duration,
    /// Longest pause between attempts.
    pub longest_pause: std::time::Duration,
    /// At the end, what waits has this long.
    pub grace: std::time::Duration,
}

impl ForwardSettings {
    /// The defaults, to an address.
    #[must_use]
    pub fn to(url: &str) -> Self {
        let seconds = std::time::Duration::from_secs;
        Self {
            url: url.to_owned(),
            queue_bytes: 64 << 20,
            queue_requests: 10_000,
            connections: 4,
            timeout: seconds(10),
            longest_pause: seconds(30),
            grace: seconds(5),
        }
    }
}
