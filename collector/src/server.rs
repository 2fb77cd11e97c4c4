//! One port for everything, and OTLP's own two: the routes together, with limits on what a client may ask of the
//! server before any handler runs.

mod beside;
mod connections;
mod guard;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::api::Api;
use crate::config::Settings;
use crate::forward::{self, ForwardSettings, Forwarder};
use crate::ingest::Otlp;
use crate::store::{Store, StoreError};
use crate::telemetry::{self, Metrics};
use crate::{ingest, ui};

use beside::Beside;
pub use connections::serve;

const LISTEN: &str = "--listen";

/// Why the collector did not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The port is somebody else's.
    #[error(
        "port {port} of {ip} is taken: stop the other program, or choose another with \
         {flag} {ip}:PORT{or_off}", port = .address.port(), ip = .address.ip(),
        or_off = if *.flag == LISTEN { "" } else { ", or none with off" }
    )]
    PortTaken {
        /// The address.
        address: SocketAddr,
        /// The flag that chooses another.
        flag: &'static str,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Requests cannot be passed on.
    #[error("--forward: {0}")]
    Forward(#[from] forward::SetupError),
    /// The store did not open.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All routes over an open store.
pub fn routes(store: &Store, settings: &Settings, metrics: &Arc<Metrics>) -> Router {
    let otlp = otlp(store, settings, metrics, None);
    routes_with(store, settings, metrics, &otlp)
}

fn otlp(
    store: &Store,
    settings: &Settings,
    metrics: &Arc<Metrics>,
    forward: Option<Forwarder>,
) -> Otlp {
    Otlp::new(store.clone(), settings.limits.clone(), metrics.ingest.clone(), forward)
}

fn routes_with(store: &Store, settings: &Settings, metrics: &Arc<Metrics>, otlp: &Otlp) -> Router {
    let api = Api::new(store.clone(), &settings.api);
    let ingest = ingest::routes(store.clone(), settings.limits.clone(), metrics.ingest.clone());
    let routes = Router::new()
        .merge(api.routes())
        .merge(otlp.http_routes())
        .merge(otlp.grpc_routes())
        .merge(ingest)
        .merge(telemetry::routes(Arc::clone(metrics)))
        .merge(ui::routes());
    guard::around(routes, metrics)
}

/// Binds the port that `flag` chooses.
///
/// # Errors
/// It is taken, or the system refuses.
pub async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServerError::PortTaken { address, flag },
        _ => ServerError::Listen { address, source },
    })
}

/// Runs until SIGTERM or SIGINT, then finishes what is under way and writes out the store.
/// `started` is told the address once everything answers.
///
/// # Errors
/// The port or the store cannot be had.
pub async fn run(settings: Settings, started: impl FnOnce(SocketAddr)) -> Result<(), ServerError> {
    // The port first: it is the commonest mistake and the cheapest check.
    let listener = bind(settings.listen, LISTEN).await?;
    let beside = Beside::bind(&settings).await?;
    let stop = stop_signal();
    let metrics = Arc::new(Metrics::default());
    let (forwarder, sender) = forwarding(&settings, &metrics)?.unzip();
    let store = Store::open_with(settings.store.clone(), metrics.store.clone()).await?;
    started(listener.local_addr().unwrap_or(settings.listen));
    let otlp = otlp(&store, &settings, &metrics, forwarder);
    let (stopping, stopped) = watch::channel(false);
    let serving = beside.serve(&otlp, &metrics, &stopped);
    let routes = routes_with(&store, &settings, &metrics, &otlp);
    let stop = async {
        stop.await;
        stopping.send_replace(true);
    };
    let (ended, told) = oneshot::channel::<()>();
    let sending = sender.map(|sender| tokio::spawn(sender.run(async { drop(told.await) })));
    serve(listener, routes, metrics, stop).await;
    serving.join_all().await;
    drop(ended);
    if let Some(sending) = sending {
        drop(sending.await);
    }
    tracing::info!("writing out what is in memory");
    store.close().await;
    Ok(())
}

/// The two ends of forwarding, if it is asked for.
fn forwarding(
    settings: &Settings,
    metrics: &Metrics,
) -> Result<Option<(Forwarder, forward::Sender)>, ServerError> {
    let Some(url) = &settings.forward else { return Ok(None) };
    Ok(Some(forward::channel(ForwardSettings::to(url), metrics.forward.clone())?))
}

/// Resolves at the first SIGTERM or SIGINT.
fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = signal(SignalKind::terminate()).and_then(|terminate| {
        signal(SignalKind::interrupt()).map(|interrupt| (terminate, interrupt))
    });
    async move {
        match signals {
            Ok((mut terminate, mut interrupt)) => {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            }
            Err(error) => {
                tracing::error!(%error, "signals cannot be waited for; only kill -9 stops this");
                std::future::pending::<()>().await;
            }
        }
    }
}
