//! Profiles, spans and metrics from the network into the store: bounded, checked whole, then stored or refused with a
//! reason. Nothing here reads what was stored.

mod application;
mod body;
mod error;
mod folded;
pub mod fuzz;
mod labels;
mod limits;
mod metrics;
mod multipart;
mod otlp;
mod pprof;
mod protobuf;
mod push;
mod request;
mod routes;
#[cfg(test)]
mod tests;

pub use error::IngestError;
pub use limits::Limits;
pub use metrics::IngestMetrics;
pub use otlp::{Otlp, OtlpSignal};
pub use routes::routes;
