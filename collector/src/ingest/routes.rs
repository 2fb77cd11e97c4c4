//! The HTTP endpoints: from a request to an answer and a count.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use xxhash_rust::xxh3::xxh3_128;

use super::application::Parameters;
use super::body::{Budget, Share, Unzip};
use super::error::IngestError;
use super::limits::Limits;
use super::metrics::IngestMetrics;
use super::push;
use super::request::{self, Decoded};
use crate::store::{Appended, Push, Store};

struct Ingest {
    store: Store,
    limits: Limits,
    budget: Budget,
    metrics: IngestMetrics,
}

/// `POST /push.v1.PusherService/Push`, `/ingest` and `/pyroscope/ingest`.
pub fn routes(store: Store, limits: Limits, metrics: IngestMetrics) -> Router {
    let budget = Budget::new(limits.in_flight_bytes);
    Router::new()
        .route("/push.v1.PusherService/Push", post(push))
        .route("/ingest", post(ingest))
        .route("/pyroscope/ingest", post(ingest))
        .with_state(Arc::new(Ingest { store, limits, budget, metrics }))
}

async fn push(State(state): State<Arc<Ingest>>, request: Request) -> Response {
    let json = is_json(request.headers());
    match state.push(request, json).await {
        Ok(()) if json => Json(serde_json::json!({})).into_response(),
        Ok(()) => ([(header::CONTENT_TYPE, "application/proto")], Body::empty()).into_response(),
        Err(error) => {
            state.metrics.refused("push", &error);
            let body = serde_json::json!({
                "code": error.connect_code(),
                "message": error.to_string(),
            });
            with_retry(error.status(), (error.status(), Json(body)).into_response())
        }
    }
}

async fn ingest(
    State(state): State<Arc<Ingest>>,
    Query(parameters): Query<Parameters>,
    request: Request,
) -> Response {
    match state.ingest(parameters, request).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            state.metrics.refused("ingest", &error);
            with_retry(error.status(), (error.status(), format!("{error}\n")).into_response())
        }
    }
}

fn with_retry(status: StatusCode, mut response: Response) -> Response {
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    }
    response
}

impl Ingest {
    async fn push(self: &Arc<Self>, request: Request, json: bool) -> Result<(), IngestError> {
        let kind = header_text(request.headers(), &header::CONTENT_TYPE);
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !matches!(
            kind.as_str(),
            "application/proto" | "application/x-protobuf" | "application/json"
        ) {
            let accepted = "application/proto, application/json";
            return Err(IngestError::Unsupported {
                what: "content type",
                got: cut(&kind),
                accepted,
            });
        }
        let received = self.receive("push", request).await?;
        let (digest, state) = (received.digest, Arc::clone(self));
        let decoded = off_thread(move || received.pushed(json, &state.limits)).await?;
        self.store("push", digest, decoded).await
    }

    async fn ingest(
        self: &Arc<Self>,
        parameters: Parameters,
        request: Request,
    ) -> Result<(), IngestError> {
        let kind = header_text(request.headers(), &header::CONTENT_TYPE).to_owned();
        let received = self.receive("ingest", request).await?;
        let (digest, state) = (received.digest, Arc::clone(self));
        let decode = move || received.ingested(&parameters, &kind, &state.limits);
        let decoded = off_thread(decode).await?;
        self.store("ingest", digest, decoded).await
    }

    /// Reads a body whole, within the budget of one request and of all together.
    async fn receive(
        &self,
        endpoint: &'static str,
        request: Request,
    ) -> Result<Received, IngestError> {
        let gzip = match header_text(request.headers(), &header::CONTENT_ENCODING) {
            "" | "identity" => false,
            "gzip" => true,
            other => {
                let accepted = "gzip, identity";
                return Err(IngestError::Unsupported {
                    what: "content encoding",
                    got: cut(other),
                    accepted,
                });
            }
        };
        let limit_bytes = self.limits.body_bytes;
        let too_large = || IngestError::TooLarge { what: "the body", limit_bytes };
        let announced =
            header_text(request.headers(), &header::CONTENT_LENGTH).parse::<usize>().ok();
        let reserve = announced.unwrap_or(limit_bytes);
        if reserve > limit_bytes {
            return Err(too_large());
        }
        let mut share: Share = self.budget.share();
        share.take(reserve)?;
        let target = request.uri().to_string();
        let body = to_bytes(request.into_body(), limit_bytes).await.map_err(|error| {
            let text = error.to_string();
            if text.contains("length limit") { too_large() } else { IngestError::Body(text) }
        })?;
        self.metrics.received(endpoint, body.len());
        let mut digest = xxh3_128(&body);
        digest ^= xxh3_128(target.as_bytes()).rotate_left(1);
        Ok(Received {
            body,
            gzip,
            digest,
            unzip: Unzip::new(share, self.limits.decompressed_bytes),
        })
    }

    async fn store(
        &self,
        endpoint: &'static str,
        digest: u128,
        decoded: Decoded,
    ) -> Result<(), IngestError> {
        let (profiles, samples) =
            (decoded.profiles.len(), decoded.profiles.iter().map(|p| p.samples.len()).sum());
        let digest = if decoded.timeless { digest ^ now_unix_ns() } else { digest };
        match self
            .store
            .append(Push { digest, profiles: decoded.profiles, ..Push::default() })
            .await?
        {
            Appended::Stored => self.metrics.stored(endpoint, profiles, samples),
            Appended::Duplicate => self.metrics.duplicate(endpoint),
        }
        Ok(())
    }
}

/// A body that arrived.
struct Received {
    body: axum::body::Bytes,
    /// Whether the request as a whole is gzipped.
    gzip: bool,
    /// Hash of the body, path and query.
    digest: u128,
    unzip: Unzip,
}

impl Received {
    fn pushed(self, json: bool, limits: &Limits) -> Result<Decoded, IngestError> {
        let Self { body, gzip, mut unzip, .. } = self;
        let body = if gzip { unzip.plain(&body)? } else { (&body[..]).into() };
        let series =
            if json { push::parse_json(&body, limits)? } else { push::parse_proto(&body, limits)? };
        request::pushed(series, &mut unzip, now_unix_ms(), limits)
    }

    fn ingested(
        self,
        parameters: &Parameters,
        content_type: &str,
        limits: &Limits,
    ) -> Result<Decoded, IngestError> {
        let Self { body, gzip, mut unzip, .. } = self;
        let body = if gzip { unzip.plain(&body)? } else { (&body[..]).into() };
        request::ingested(parameters, content_type, &body, &mut unzip, now_unix_ms(), limits)
    }
}

/// Decoding is work for a processor, and must not hold up the threads that serve connections.
async fn off_thread(
    decode: impl FnOnce() -> Result<Decoded, IngestError> + Send + 'static,
) -> Result<Decoded, IngestError> {
    let decoded = tokio::task::spawn_blocking(decode).await;
    decoded.map_err(|error| IngestError::Body(error.to_string()))?
}

fn is_json(headers: &HeaderMap) -> bool {
    header_text(headers, &header::CONTENT_TYPE).to_ascii_lowercase().starts_with("application/json")
}

pub(super) fn header_text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Start of a text that a client sent.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

fn now_unix_ns() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

pub(super) fn now_unix_ms() -> i64 {
    i64::try_from(now_unix_ns() / 1_000_000).unwrap_or(i64::MAX)
}
