//! A refusal in OTLP's words: `google.rpc.Status`, with the time to wait where trying again helps.

use prost::Message;
use tonic::Code;

use crate::ingest::error::IngestError;
use crate::store::StoreError;

/// When a sender may try again, in seconds.
pub(super) const RETRY_S: i64 = 5;

/// `google.rpc.Status`
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// The gRPC code of a refusal.
pub(super) fn code(error: &IngestError) -> Code {
    match error {
        IngestError::Overloaded | IngestError::TooLarge { .. } => Code::ResourceExhausted,
        IngestError::Unsupported { .. } => Code::Unimplemented,
        IngestError::Store(
            StoreError::DiskFull { .. } | StoreError::Busy { .. } | StoreError::Closed,
        ) => Code::Unavailable,
        IngestError::Store(_) => Code::Internal,
        _ => Code::InvalidArgument,
    }
}

/// Whether the same request may be taken later.
pub(super) fn is_retryable(error: &IngestError) -> bool {
    matches!(error, IngestError::Overloaded) || code(error) == Code::Unavailable
}

/// The refusal as `google.rpc.Status` in protobuf.
pub(super) fn protobuf(error: &IngestError) -> Vec<u8> {
    let retry = RetryInfo { retry_delay: Some(Delay { seconds: RETRY_S }) };
    let details = is_retryable(error).then(|| Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: retry.encode_to_vec(),
    });
    let details = details.into_iter().collect();
    RpcStatus { code: code(error) as i32, message: error.to_string(), details }.encode_to_vec()
}

/// The refusal as `google.rpc.Status` in JSON.
pub(super) fn json(error: &IngestError) -> serde_json::Value {
    let mut status =
        serde_json::json!({ "code": code(error) as i32, "message": error.to_string() });
    if is_retryable(error) {
        status["details"] = serde_json::json!([{
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": format!("{RETRY_S}s"),
        }]);
    }
    status
}
