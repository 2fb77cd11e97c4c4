//! OTLP over HTTP and gRPC: from a request to rows in the store, and the answer that the
//! specification asks for. What rows mean is no matter here.

mod attributes;
mod batch;
mod grpc;
mod http;
mod metrics;
mod refusal;
mod rejected;
#[cfg(test)]
mod tests;
mod traces;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::post;
use futures::StreamExt;
use xxhash_rust::xxh3::xxh3_128;

use super::body::{Budget, Share, Unzip};
use super::error::IngestError;
use super::limits::{JSON_OBJECT_BYTES, Limits};
use super::metrics::IngestMetrics;
use super::routes::now_unix_ms;
use crate::forward::{Forwarded, Forwarder};
use crate::store::{Appended, Push, Store};
pub(super) use batch::{Batch, Context};
pub(super) use rejected::Rejected;

/// What a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OtlpSignal {
    /// Spans.
    Traces,
    /// Metric points.
    Metrics,
}

/// How a request's message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
}

impl OtlpSignal {
    /// As in paths, endpoints' labels and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }

    /// What the answer calls the rows.
    fn rows(self) -> &'static str {
        match self {
            Self::Traces => "spans",
            Self::Metrics => "data points",
        }
    }
}

/// Takes OTLP in; clones share limits and budget.
#[derive(Clone)]
pub struct Otlp(Arc<Shared>);

struct Shared {
    store: Store,
    limits: Limits,
    budget: Budget,
    metrics: IngestMetrics,
    forward: Option<Forwarder>,
}

impl Otlp {
    /// Stores into `store`, and passes on what was stored.
    #[must_use]
    pub fn new(
        store: Store,
        limits: Limits,
        metrics: IngestMetrics,
        forward: Option<Forwarder>,
    ) -> Self {
        let budget = Budget::new(limits.in_flight_bytes);
        Self(Arc::new(Shared { store, limits, budget, metrics, forward }))
    }

    /// `POST /v1/traces` and `/v1/metrics`.
    pub fn http_routes(&self) -> Router {
        Router::new()
            .route("/v1/traces", post(http::traces))
            .route("/v1/metrics", post(http::metrics))
            .with_state(self.clone())
    }

    /// `TraceService/Export` and `MetricsService/Export`.
    pub fn grpc_routes(&self) -> Router {
        Router::new()
            .route(
                "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                post(grpc::traces),
            )
            .route(
                "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
                post(grpc::metrics),
            )
            .with_state(self.clone())
    }

    /// Reads a body whole, within the budget of one request and of all together.
    async fn read(&self, body: Body) -> Result<(Bytes, Share), IngestError> {
        let limit_bytes = self.0.limits.body_bytes;
        let mut share = self.0.budget.share();
        let mut chunks = body.into_data_stream();
        let mut whole = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| IngestError::Body(error.to_string()))?;
            if whole.len() + chunk.len() > limit_bytes {
                return Err(IngestError::TooLarge { what: "the body", limit_bytes });
            }
            share.take(chunk.len())?;
            whole.extend_from_slice(&chunk);
        }
        Ok((whole.into(), share))
    }

    /// Decodes and stores a message; it is durable when this returns. What could not be taken of it
    /// is counted, and told to the sender.
    async fn take(
        &self,
        signal: OtlpSignal,
        endpoint: &'static str,
        message: Message,
    ) -> Result<Rejected, IngestError> {
        let as_received = self.0.forward.as_ref().map(|_| Forwarded {
            signal,
            body: message.bytes.clone(),
            json: message.encoding == Encoding::Json,
            gzip: message.gzip,
        });
        let this = Arc::clone(&self.0);
        let decode = move || message.decode(signal, &this.limits);
        let decoded = tokio::task::spawn_blocking(decode).await;
        let (batch, digest, share) =
            decoded.map_err(|error| IngestError::Body(error.to_string()))??;
        let Batch { spans, points, rejected, exemplars } = batch;
        let rows = spans.len() + points.len();
        if rows > 0 {
            let push = Push { digest, spans, points, ..Push::default() };
            match self.0.store.append(push).await? {
                Appended::Stored => {
                    self.0.metrics.rows_stored(signal, endpoint, rows);
                    if let Some((forward, request)) = self.0.forward.as_ref().zip(as_received) {
                        forward.push(request);
                    }
                }
                Appended::Duplicate => self.0.metrics.duplicate(endpoint),
            }
        }
        drop(share);
        self.0.metrics.rows_rejected(signal, &rejected);
        self.0.metrics.exemplars_dropped(exemplars);
        Ok(rejected)
    }
}

/// A request's message as it came.
struct Message {
    bytes: Bytes,
    encoding: Encoding,
    gzip: bool,
    share: Share,
}

impl Message {
    fn decode(
        self,
        signal: OtlpSignal,
        limits: &Limits,
    ) -> Result<(Batch, u128, Share), IngestError> {
        let mut unzip = Unzip::new(self.share, limits.decompressed_bytes);
        let plain = if self.gzip { unzip.plain(&self.bytes)? } else { (&self.bytes[..]).into() };
        let digest = xxh3_128(&plain) ^ xxh3_128(signal.name().as_bytes()).rotate_left(1);
        let context = Context { now_unix_ms: now_unix_ms(), limits };
        if self.encoding == Encoding::Json {
            unzip.hold(context.json_objects(&plain)? * JSON_OBJECT_BYTES)?;
        }
        let batch = decode(signal, self.encoding, &plain, &context)?;
        Ok((batch, digest, unzip.into_share()))
    }
}

/// The rows of a message.
pub(super) fn decode(
    signal: OtlpSignal,
    encoding: Encoding,
    plain: &[u8],
    context: &Context<'_>,
) -> Result<Batch, IngestError> {
    match (signal, encoding) {
        (OtlpSignal::Traces, Encoding::Protobuf) => traces::from_protobuf(plain, context),
        (OtlpSignal::Traces, Encoding::Json) => traces::from_json(plain, context),
        (OtlpSignal::Metrics, Encoding::Protobuf) => metrics::from_protobuf(plain, context),
        (OtlpSignal::Metrics, Encoding::Json) => metrics::from_json(plain, context),
    }
}
