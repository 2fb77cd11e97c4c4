//! The collector's own CPU profile, in the same pprof encoding as everything else.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::api::gzip;
use crate::query::{OwnStack, encode_own_pprof};

const FREQUENCY: i32 = 99;
const MAX_SECONDS: u64 = 60;

#[derive(Deserialize)]
pub(super) struct Parameters {
    #[serde(default = "five")]
    seconds: u64,
}

fn five() -> u64 {
    5
}

/// `GET /debug/pprof/profile?seconds=5`
pub(super) async fn own_profile(
    State(profiler): State<Arc<Mutex<()>>>,
    Query(parameters): Query<Parameters>,
) -> Response {
    if !(1..=MAX_SECONDS).contains(&parameters.seconds) {
        let why = format!("`seconds` must be from 1 to {MAX_SECONDS}\n");
        return (StatusCode::BAD_REQUEST, why).into_response();
    }
    let Ok(_alone) = profiler.try_lock() else {
        return (StatusCode::TOO_MANY_REQUESTS, "a profile is being taken\n").into_response();
    };
    match take(Duration::from_secs(parameters.seconds)).await {
        Ok(body) => {
            let name = "attachment; filename=\"sonde-collector.pb.gz\"";
            let mime = (header::CONTENT_TYPE, "application/octet-stream");
            ([mime, (header::CONTENT_DISPOSITION, name)], body).into_response()
        }
        Err(error) => {
            tracing::warn!(%error, "no profile of our own");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response()
        }
    }
}

async fn take(length: Duration) -> anyhow::Result<Vec<u8>> {
    let guard = pprof::ProfilerGuardBuilder::default().frequency(FREQUENCY).build()?;
    tokio::time::sleep(length).await;
    let encoded = tokio::task::spawn_blocking(move || encode(&guard, length)).await??;
    Ok(encoded)
}

fn encode(guard: &pprof::ProfilerGuard<'_>, length: Duration) -> anyhow::Result<Vec<u8>> {
    let report = guard.report().build()?;
    let period_ns = 1_000_000_000 / i64::from(FREQUENCY);
    let stacks = report.data.iter().map(|(frames, &count)| OwnStack {
        names: frames.frames.iter().flatten().map(pprof::Symbol::name).collect(),
        count: i64::try_from(count).unwrap_or(0),
    });
    Ok(gzip(&encode_own_pprof(stacks, period_ns, length))?)
}
