//! The decoders as functions of bytes, for fuzz targets and the tests that mutate real input. They
//! must return, never panic, whatever they are given.

use std::sync::Arc;

use super::application::Parameters;
use super::body::{Budget, Unzip};
use super::error::IngestError;
use super::labels::LabelSet;
use super::limits::Limits;
use super::otlp::{self, Context, Encoding, OtlpSignal};
use super::{pprof, push, request};
use crate::profile::Profile;

/// Decodes a pprof message, gzipped or not.
///
/// # Errors
/// Why the message is refused.
pub fn decode_pprof(bytes: &[u8]) -> Result<Vec<Profile>, IngestError> {
    let limits = Limits::default();
    let mut unzip = Unzip::new(Budget::new(limits.in_flight_bytes).share(), 4 << 20);
    let plain = unzip.plain(bytes)?;
    let message = pprof::Message::parse(&plain, &limits)?;
    let labels = LabelSet::default();
    let name = Arc::from("process_cpu");
    let context = pprof::Context { labels: &labels, name, default_unix_ms: 1, limits: &limits };
    pprof::profiles(&message, &context, &mut pprof::Totals::default())
}

/// Decodes a body of `push.v1.PusherService/Push`.
///
/// # Errors
/// Why the request is refused.
pub fn decode_push(bytes: &[u8], json: bool) -> Result<Vec<Profile>, IngestError> {
    let limits = Limits::default();
    let mut unzip = Unzip::new(Budget::new(limits.in_flight_bytes).share(), 4 << 20);
    let series =
        if json { push::parse_json(bytes, &limits)? } else { push::parse_proto(bytes, &limits)? };
    let decoded = request::pushed(series, &mut unzip, 1, &limits)?;
    Ok(decoded.profiles)
}

/// Decodes a body of `/ingest`, folded or pprof; as a multipart body, its boundary is `x`.
///
/// # Errors
/// Why the request is refused.
pub fn decode_ingest(bytes: &[u8], multipart: bool) -> Result<Vec<Profile>, IngestError> {
    let limits = Limits::default();
    let mut unzip = Unzip::new(Budget::new(limits.in_flight_bytes).share(), 4 << 20);
    let kind = if multipart { "multipart/form-data; boundary=x" } else { "text/plain" };
    let parameters = Parameters::default();
    let decoded = request::ingested(&parameters, kind, bytes, &mut unzip, 1, &limits)?;
    Ok(decoded.profiles)
}

/// Decodes a body of `/v1/traces`, and the same bytes as one of `/v1/metrics`. Returns how many
/// spans and points there are.
///
/// # Errors
/// Why the bytes are refused as both.
pub fn decode_otlp(bytes: &[u8], json: bool) -> Result<usize, IngestError> {
    let limits = Limits::default();
    let context = Context { now_unix_ms: 1_700_000_000_000, limits: &limits };
    let encoding = if json { Encoding::Json } else { Encoding::Protobuf };
    let traces = otlp::decode(OtlpSignal::Traces, encoding, bytes, &context);
    let metrics = otlp::decode(OtlpSignal::Metrics, encoding, bytes, &context);
    match (traces, metrics) {
        (Err(_), Err(error)) => Err(error),
        (traces, metrics) => {
            let rows = |batch: otlp::Batch| batch.spans.len() + batch.points.len();
            Ok(traces.map_or(0, rows) + metrics.map_or(0, rows))
        }
    }
}
