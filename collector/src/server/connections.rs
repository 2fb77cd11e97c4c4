//! Connections: how many, how slow, and how they end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::telemetry::Metrics;

/// Open connections; one more is closed at once.
const MAX_CONNECTIONS: usize = 4096;
/// A request's head must be complete within this time, which also ends idle connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that a head (or what HTTP/2 makes of it) may have.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Streams of one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;
/// Requests that are under way at the end have this long to finish.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until `stop` resolves, then lets requests finish for a while.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    metrics: Arc<Metrics>,
    stop: impl Future<Output = ()>,
) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (stopping, stopped) = watch::channel(false);
    let mut open = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => match Arc::clone(&room).try_acquire_owned() {
                Ok(place) => {
                    let connection = connection(stream, routes.clone(), stopped.clone());
                    open.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(_) => metrics.refused_connection(),
            },
            Err(error) => {
                // Mostly out of file descriptors: others must end first.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let all_ended = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all_ended).await.is_err() {
        tracing::warn!(left = open.len(), "requests were cut off");
    }
}

/// The sender gone is an end too; what `wait_for` borrows must not outlive it.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn connection(stream: TcpStream, routes: Router, mut stopped: watch::Receiver<bool>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let builder = limited();
    let service = TowerToHyperService::new(tower::ServiceExt::<Request>::map_request(
        routes,
        |request: axum::http::Request<_>| request.map(axum::body::Body::new),
    ));
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

fn limited() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(64 << 10)
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(HEAD_TIMEOUT)
        .keep_alive_timeout(HEAD_TIMEOUT);
    builder
}
