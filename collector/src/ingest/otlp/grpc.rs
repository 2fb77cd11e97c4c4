//! OTLP over gRPC: one message in, one message or status out. Framing is ours, so that a body is
//! held to the same budget as over HTTP while it arrives.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Full};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message as _;
use tonic::Status;

use super::rejected::Rejected;
use super::{Encoding, Message, Otlp, OtlpSignal, refusal};
use crate::ingest::error::IngestError;
use crate::ingest::routes::{cut, header_text};

const MIME: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// A message is preceded by whether it is compressed, and its length.
const FRAME_HEAD: usize = 5;

/// `TraceService/Export`
pub(super) async fn traces(State(otlp): State<Otlp>, request: Request) -> Response {
    answer(&otlp, OtlpSignal::Traces, "TraceService/Export", request).await
}

/// `MetricsService/Export`
pub(super) async fn metrics(State(otlp): State<Otlp>, request: Request) -> Response {
    answer(&otlp, OtlpSignal::Metrics, "MetricsService/Export", request).await
}

async fn answer(
    otlp: &Otlp,
    signal: OtlpSignal,
    endpoint: &'static str,
    request: Request,
) -> Response {
    let kind = header_text(request.headers(), &header::CONTENT_TYPE);
    if kind != "application/grpc" && !kind.starts_with("application/grpc+proto") {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "only application/grpc is served here\n")
            .into_response();
    }
    let mut response = match receive(otlp, signal, endpoint, request).await {
        Ok(rejected) => message(&success(signal, &rejected)),
        Err(error) => {
            otlp.0.metrics.refused(endpoint, &error);
            let details = refusal::protobuf(&error).into();
            Status::with_details(refusal::code(&error), error.to_string(), details).into_http()
        }
    };
    response.headers_mut().insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

async fn receive(
    otlp: &Otlp,
    signal: OtlpSignal,
    endpoint: &'static str,
    request: Request,
) -> Result<Rejected, IngestError> {
    let encoding = header_text(request.headers(), &GRPC_ENCODING);
    if !matches!(encoding, "" | "identity" | "gzip") {
        let accepted = "gzip, identity";
        return Err(IngestError::Unsupported { what: "encoding", got: cut(encoding), accepted });
    }
    let may_be_gzip = encoding == "gzip";
    let (body, share) = otlp.read(request.into_body()).await?;
    otlp.0.metrics.received(endpoint, body.len());
    let (bytes, gzip) = unframed(&body)?;
    if gzip && !may_be_gzip {
        return Err(IngestError::malformed("frame", "compressed, but grpc-encoding says no how"));
    }
    let encoding = Encoding::Protobuf;
    otlp.take(signal, endpoint, Message { bytes, encoding, gzip, share }).await
}

/// The one message of a body, and whether it is compressed.
fn unframed(body: &Bytes) -> Result<(Bytes, bool), IngestError> {
    let wrong = |why: &str| IngestError::malformed("frame", why);
    let (head, message) =
        body.split_first_chunk::<FRAME_HEAD>().ok_or_else(|| wrong("cut off in its head"))?;
    let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if message.len() != len {
        return Err(wrong("not one message of the length that it says"));
    }
    match head[0] {
        0 | 1 => Ok((body.slice(FRAME_HEAD..), head[0] == 1)),
        _ => Err(wrong("its first byte is neither 0 nor 1")),
    }
}

/// The answer's message where a request was taken.
pub(super) fn success(signal: OtlpSignal, rejected: &Rejected) -> Vec<u8> {
    let partial = rejected.partial(signal);
    match signal {
        OtlpSignal::Traces => {
            let partial_success = partial.map(|(rejected_spans, error_message)| {
                ExportTracePartialSuccess { rejected_spans, error_message }
            });
            ExportTraceServiceResponse { partial_success }.encode_to_vec()
        }
        OtlpSignal::Metrics => {
            let partial_success = partial.map(|(rejected_data_points, error_message)| {
                ExportMetricsPartialSuccess { rejected_data_points, error_message }
            });
            ExportMetricsServiceResponse { partial_success }.encode_to_vec()
        }
    }
}

fn message(message: &[u8]) -> Response {
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(FRAME_HEAD + message.len());
    frame.push(0);
    frame.extend_from_slice(&len.to_be_bytes());
    frame.extend_from_slice(message);
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from(frame)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, MIME);
    response
}
