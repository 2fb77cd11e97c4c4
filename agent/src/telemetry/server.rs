//! The agent's own HTTP server: metrics, health, and its own profile. Reads only; loopback by default.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use tokio::net::TcpListener;

use super::health::Health;
use super::metrics;
use super::own_profile::{OwnProfile, OwnProfileError};

const INDEX: &str = "\
sonde-agent

/metrics               OpenMetrics
/healthz               200 while samples arrive, else 503 and why
/debug/pprof/profile   CPU profile of this agent, ?seconds=1 to 60 (10)
";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone)]
struct Shared {
    registry: Arc<Registry>,
    health: Health,
    own_profile: OwnProfile,
}

#[derive(Deserialize)]
struct ProfileQuery {
    #[serde(default = "ten")]
    seconds: u64,
}

const fn ten() -> u64 {
    10
}

/// Takes the address, so that a port in use is known before anything else starts.
///
/// # Errors
/// When the address cannot be taken.
pub async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).await.with_context(|| {
        format!("listen on {listen}; choose another address with --listen if it is in use")
    })
}

/// Serves until `stop` is ready.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    registry: Registry,
    health: Health,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let registry = Arc::new(registry);
    let shared = Shared { registry, health, own_profile: OwnProfile::default() };
    axum::serve(listener, routes(shared))
        .with_graceful_shutdown(stop)
        .await
        .context("serve metrics and health")
}

fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(show_health))
        .route("/debug/pprof/profile", get(show_own_profile))
        .with_state(shared)
}

async fn show_metrics(State(shared): State<Shared>) -> Response {
    match metrics::text(&shared.registry) {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "a metric cannot be written\n").into_response()
        }
    }
}

async fn show_health(State(shared): State<Shared>) -> Response {
    match shared.health.check() {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn show_own_profile(
    State(shared): State<Shared>,
    Query(query): Query<ProfileQuery>,
) -> Response {
    if !(1..=60).contains(&query.seconds) {
        return (StatusCode::BAD_REQUEST, "seconds is a whole number from 1 to 60\n")
            .into_response();
    }
    match shared.own_profile.take(Duration::from_secs(query.seconds)).await {
        Ok(profile) => {
            let disposition = "attachment; filename=\"sonde-agent.pb.gz\"";
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CONTENT_DISPOSITION, disposition),
            ];
            (headers, profile).into_response()
        }
        Err(why @ OwnProfileError::Busy) => {
            (StatusCode::CONFLICT, format!("{why}\n")).into_response()
        }
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::future::pending;

    use super::*;
    use crate::telemetry::Metrics;

    async fn get_status(path: &str) -> (u16, String, String) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let url = format!("http://{}{path}", listener.local_addr().unwrap());
        let registry = Metrics::default().registry();
        tokio::spawn(serve(listener, registry, Health::default(), pending()));
        let response = reqwest::get(url).await.unwrap();
        let kind = response.headers().get(header::CONTENT_TYPE).unwrap().to_str().unwrap();
        (response.status().as_u16(), kind.to_owned(), response.text().await.unwrap())
    }

    #[tokio::test]
    async fn metrics_are_openmetrics() {
        let (status, kind, text) = get_status("/metrics").await;
        assert_eq!((status, kind.as_str()), (200, OPENMETRICS));
        assert!(text.contains("sonde_agent_build_info") && text.ends_with("# EOF\n"), "{text}");
    }

    #[tokio::test]
    async fn a_fresh_agent_is_healthy() {
        let (status, _, text) = get_status("/healthz").await;
        assert_eq!((status, text.as_str()), (200, "ok\n"));
    }

    #[tokio::test]
    async fn the_index_names_every_path() {
        let (_, _, text) = get_status("/").await;
        for path in ["/metrics", "/healthz", "/debug/pprof/profile"] {
            assert!(text.contains(path), "{text}");
        }
    }

    #[tokio::test]
    async fn the_length_of_an_own_profile_is_bounded() {
        for seconds in ["0", "61", "-1", "ages"] {
            let (status, ..) = get_status(&format!("/debug/pprof/profile?seconds={seconds}")).await;
            assert_eq!(status, 400, "{seconds}");
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error_that_says_what_to_do() {
        let taken = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let refused = bind(taken.local_addr().unwrap()).await.unwrap_err();
        assert!(refused.to_string().contains("--listen"), "{refused}");
    }
}
