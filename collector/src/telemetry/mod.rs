//! What the collector says about itself: its log, its metrics, its own CPU profile.

mod log;
mod metrics;
mod profile;

pub use log::start_log;
pub use metrics::Metrics;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Mutex;

/// `/metrics`, `/healthz`, `/readyz` and `/debug/pprof/profile`.
pub fn routes(metrics: Arc<Metrics>) -> Router {
    // One profile at a time: the profiler's timer is the process's.
    let profiler = Arc::new(Mutex::new(()));
    Router::new()
        .route("/metrics", get(exposition))
        .with_state(metrics)
        .route("/healthz", get(|| async { "ok\n" }))
        // The store is open, its log replayed, before there is a server to ask.
        .route("/readyz", get(|| async { "ok\n" }))
        .route("/debug/pprof/profile", get(profile::own_profile).with_state(profiler))
}

async fn exposition(State(metrics): State<Arc<Metrics>>) -> Response {
    let mime = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, mime)], metrics.encode()).into_response()
}
