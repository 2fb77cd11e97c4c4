//! Spans and metrics to an OTLP endpoint, over HTTP or gRPC. Spans wait in a bounded queue and go out
//! every second; metrics are sums since the beginning, so that one that is not delivered loses nothing.

mod client;
mod exporter;
mod metrics;
mod own_metrics;
mod settings;
mod spans;

pub use exporter::{Exporter, SpanQueue, channel};
pub use own_metrics::{OtlpMetrics, SpanOutcome};
pub use settings::{Histograms, OtlpSettings, Protocol};

/// Why an exporter could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum OtlpSetupError {
    /// The address cannot be used.
    #[error("{url:?} is no address of an OTLP endpoint")]
    Url {
        /// What was given.
        url: String,
    },
    /// A header cannot be sent. Its value is not shown: it may be a secret.
    #[error("header {name:?} has a name or a value that cannot be sent")]
    Header {
        /// The header's name.
        name: String,
    },
    /// TLS, or the system's certificates, cannot be used.
    #[error("set up TLS for OTLP over gRPC")]
    Tls(#[from] tonic::transport::Error),
    /// The same over HTTP.
    #[error("set up the HTTP client for OTLP")]
    Http(#[from] reqwest::Error),
    /// The exporter of spans refuses its settings.
    #[error("set up the exporter of spans")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}
