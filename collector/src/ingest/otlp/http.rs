//! OTLP over HTTP: content type in, the same content type out.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::rejected::Rejected;
use super::{Encoding, Message, Otlp, OtlpSignal, grpc, refusal};
use crate::ingest::error::IngestError;
use crate::ingest::routes::{cut, header_text};

const PROTOBUF: &str = "application/x-protobuf";

/// `POST /v1/traces`
pub(super) async fn traces(State(otlp): State<Otlp>, request: Request) -> Response {
    answer(&otlp, OtlpSignal::Traces, "v1/traces", request).await
}

/// `POST /v1/metrics`
pub(super) async fn metrics(State(otlp): State<Otlp>, request: Request) -> Response {
    answer(&otlp, OtlpSignal::Metrics, "v1/metrics", request).await
}

async fn answer(
    otlp: &Otlp,
    signal: OtlpSignal,
    endpoint: &'static str,
    request: Request,
) -> Response {
    let encoding = encoding(header_text(request.headers(), &header::CONTENT_TYPE));
    let taken = match &encoding {
        Ok(encoding) => receive(otlp, signal, endpoint, *encoding, request).await,
        Err(got) => Err(IngestError::Unsupported {
            what: "content type",
            got: cut(got),
            accepted: "application/x-protobuf, application/json",
        }),
    };
    let json = encoding == Ok(Encoding::Json);
    match taken {
        Ok(rejected) if json => Json(success(signal, &rejected)).into_response(),
        Ok(rejected) => protobuf(StatusCode::OK, grpc::success(signal, &rejected)),
        Err(error) => {
            otlp.0.metrics.refused(endpoint, &error);
            refused(&error, json)
        }
    }
}

/// How the body is written; what was sent instead, if it is nothing that is taken.
fn encoding(content_type: &str) -> Result<Encoding, String> {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        PROTOBUF | "application/protobuf" => Ok(Encoding::Protobuf),
        "application/json" => Ok(Encoding::Json),
        _ => Err(kind),
    }
}

async fn receive(
    otlp: &Otlp,
    signal: OtlpSignal,
    endpoint: &'static str,
    encoding: Encoding,
    request: Request,
) -> Result<Rejected, IngestError> {
    let gzip = match header_text(request.headers(), &header::CONTENT_ENCODING) {
        "" | "identity" => false,
        "gzip" => true,
        other => {
            let accepted = "gzip, identity";
            let got = cut(other);
            return Err(IngestError::Unsupported { what: "content encoding", got, accepted });
        }
    };
    let (bytes, share) = otlp.read(request.into_body()).await?;
    otlp.0.metrics.received(endpoint, bytes.len());
    otlp.take(signal, endpoint, Message { bytes, encoding, gzip, share }).await
}

fn success(signal: OtlpSignal, rejected: &Rejected) -> serde_json::Value {
    if rejected.total() == 0 {
        return serde_json::json!({});
    }
    let count = match signal {
        OtlpSignal::Traces => "rejectedSpans",
        OtlpSignal::Metrics => "rejectedDataPoints",
    };
    // Protobuf's JSON writes 64 bits as text.
    let partial = serde_json::json!({
        count: rejected.total().to_string(),
        "errorMessage": rejected.message(signal.rows()),
    });
    serde_json::json!({ "partialSuccess": partial })
}

fn refused(error: &IngestError, json: bool) -> Response {
    let mut response = if json {
        (error.status(), Json(refusal::json(error))).into_response()
    } else {
        protobuf(error.status(), refusal::protobuf(error))
    };
    if refusal::is_retryable(error) {
        let seconds = HeaderValue::from(refusal::RETRY_S);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

fn protobuf(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, PROTOBUF)], body).into_response()
}

impl Rejected {
    /// For an answer in protobuf; `None` if nothing was rejected.
    pub(super) fn partial(&self, signal: OtlpSignal) -> Option<(i64, String)> {
        let total = self.total();
        let count = i64::try_from(total).unwrap_or(i64::MAX);
        (total > 0).then(|| (count, self.message(signal.rows())))
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn success_in_protobuf_is_empty_unless_something_was_rejected() {
        let mut rejected = Rejected::default();
        assert!(grpc::success(OtlpSignal::Traces, &rejected).is_empty());
        rejected.add(super::super::rejected::Rejection::SpanId);
        let body = grpc::success(OtlpSignal::Traces, &rejected);
        let answer =
            opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse::decode(
                &body[..],
            );
        let partial = answer.expect("our own message").partial_success.expect("one rejected");
        assert_eq!(partial.rejected_spans, 1);
        assert!(partial.error_message.contains("span id"), "{}", partial.error_message);
    }
}
