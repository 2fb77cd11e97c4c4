//! HTTP to questions and back: one JSON dialect of our own, for the page and for scripts. Only
//! `params` reads the clock; what is computed is `query`'s.

mod download;
mod error;
mod labels;
mod params;
mod profile;
mod red;
mod servicemap;
mod services;
mod timeline;
mod traces;
mod trees;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

use crate::store::{Snapshot, Store};
pub(crate) use download::gzip;
use error::ApiError;
use trees::Trees;

/// What questions may take together.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Memory for merged trees that are kept, in bytes.
    pub cache_bytes: usize,
    /// Questions that are computed at the same time.
    pub concurrency: usize,
    /// A question that takes longer is given up.
    pub timeout: Duration,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self { cache_bytes: 128 << 20, concurrency: 8, timeout: Duration::from_secs(30) }
    }
}

/// Questions that may wait for each one that is computed.
const WAITING_PER_RUNNING: usize = 8;

/// The API and what its handlers share.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

struct Shared {
    store: Store,
    trees: Trees,
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    timeout: Duration,
}

impl Api {
    /// Answers from `store`.
    #[must_use]
    pub fn new(store: Store, settings: &ApiSettings) -> Self {
        let running = settings.concurrency.clamp(1, 1024);
        Self(Arc::new(Shared {
            store,
            trees: Trees::new(settings.cache_bytes),
            running: Arc::new(Semaphore::new(running)),
            admitted: Arc::new(Semaphore::new(running * (1 + WAITING_PER_RUNNING))),
            timeout: settings.timeout,
        }))
    }

    /// Everything under `/api/v1`.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/api/v1/profile/types", get(labels::types))
            .route("/api/v1/labels", get(labels::names))
            .route("/api/v1/labels/{name}/values", get(labels::values))
            .route("/api/v1/profile/tree", get(profile::tree))
            .route("/api/v1/profile/top", get(profile::top))
            .route("/api/v1/profile/timeline", get(timeline::timeline))
            .route("/api/v1/profile/download", get(download::download))
            .route("/api/v1/services", get(services::services))
            .route("/api/v1/services/red", get(services::red))
            .route("/api/v1/services/routes", get(services::routes))
            .route("/api/v1/services/heatmap", get(services::heatmap))
            .route("/api/v1/servicemap", get(servicemap::servicemap))
            .route("/api/v1/traces", get(traces::traces))
            .route("/api/v1/traces/{trace_id}", get(traces::trace))
            .route("/api/v1/trust", get(trust::trust))
            .route("/api/{*path}", get(no_such_path))
            .layer(from_fn_with_state(self.clone(), within_time))
            .layer(compression())
            .with_state(self.clone())
    }

    fn snapshot(&self) -> Snapshot {
        self.0.store.snapshot()
    }

    /// Waits for a turn.
    async fn turn(&self) -> Result<Turn, ApiError> {
        let admitted =
            Arc::clone(&self.0.admitted).try_acquire_owned().map_err(|_| ApiError::Busy)?;
        let running = Arc::clone(&self.0.running).acquire_owned().await;
        let running = running.map_err(|_| ApiError::Busy)?;
        Ok(Turn { _admitted: admitted, _running: running })
    }

    /// Runs what needs a processor rather than a disk away from the threads that serve.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| ApiError::Internal(format!("the computation broke off: {error}")))
    }
}

/// The right to compute; moves into the computation, so that one that nobody waits for any more
/// still counts.
struct Turn {
    _admitted: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
}

async fn within_time(State(api): State<Api>, request: Request, next: Next) -> Response {
    let limit = api.0.timeout;
    let too_slow = |_| ApiError::TooSlow(limit.as_secs()).into_response();
    tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(too_slow)
}

/// Trees and tables are JSON of some hundred kilobytes that shrink to a tenth; a pprof download is
/// gzipped already.
fn compression() -> CompressionLayer<impl Predicate> {
    let already = NotForContentType::const_new("application/octet-stream");
    CompressionLayer::new().compress_when(DefaultPredicate::new().and(already))
}

async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::NoSuchPath(uri.path().chars().take(128).collect())
}
