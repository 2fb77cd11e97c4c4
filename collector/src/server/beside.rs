//! OTLP's own two ports, for senders that know no other.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{ServerError, bind, guard, serve};
use crate::config::{Listener, Settings};
use crate::ingest::Otlp;
use crate::telemetry::Metrics;

/// The ports, bound; those that are switched off are not here.
pub(super) struct Beside {
    grpc: Option<TcpListener>,
    http: Option<TcpListener>,
}

impl Beside {
    pub(super) async fn bind(settings: &Settings) -> Result<Self, ServerError> {
        let (grpc, http) = (settings.otlp_grpc.is_some(), settings.otlp_http.is_some());
        Ok(Self {
            grpc: bound(settings.otlp_grpc(), grpc, "--otlp-grpc").await?,
            http: bound(settings.otlp_http(), http, "--otlp-http").await?,
        })
    }

    /// Serves both until `stopped` says so.
    pub(super) fn serve(
        self,
        otlp: &Otlp,
        metrics: &Arc<Metrics>,
        stopped: &watch::Receiver<bool>,
    ) -> JoinSet<()> {
        let grpc = self.grpc.map(|listener| (listener, otlp.grpc_routes()));
        let http = self.http.map(|listener| (listener, otlp.http_routes()));
        let mut serving = JoinSet::new();
        for (listener, routes) in grpc.into_iter().chain(http) {
            let routes = guard::around(routes, metrics);
            let mut stopped = stopped.clone();
            let stop = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
            serving.spawn(serve(listener, routes, Arc::clone(metrics), stop));
        }
        serving
    }
}

/// One that somebody asked for must be had. One that nobody asked for may be another's: the one port
/// takes OTLP all the same.
async fn bound(
    of: Listener,
    asked: bool,
    flag: &'static str,
) -> Result<Option<TcpListener>, ServerError> {
    let Some(address) = of.address() else { return Ok(None) };
    match bind(address, flag).await {
        Err(error) if !asked => {
            tracing::warn!(%error, "OTLP is taken on the one port alone");
            Ok(None)
        }
        bound => bound.map(Some),
    }
}
