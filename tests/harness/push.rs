//! A client of our own for `push.v1`: known profiles, built byte by byte from the public format.

use std::io::Write as _;

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use crate::http::{self, Answer};
use crate::pprof::{Function, Line, Location, Profile, Sample, ValueType};

/// The path of the call.
pub const PATH: &str = "/push.v1.PusherService/Push";

#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<Series>,
}

#[derive(Clone, PartialEq, Message)]
struct Series {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<RawSample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct RawSample {
    #[prost(bytes = "vec", tag = "1")]
    raw_profile: Vec<u8>,
    #[prost(string, tag = "2")]
    id: String,
}

/// A profile of one stack, `main` → `function`, worth `value` nanoseconds, taken now.
#[must_use]
pub fn profile(function: &str, value: i64, unix_ns: i64) -> Profile {
    let strings = ["", "cpu", "nanoseconds", function, "main"];
    let kind = ValueType { r#type: 1, unit: 2 };
    let line = |id| vec![Line { function_id: id, line: 1 }];
    Profile {
        sample_type: vec![kind],
        sample: vec![Sample { location_id: vec![1, 2], value: vec![value] }],
        location: vec![
            Location { id: 1, mapping_id: 0, address: 0, line: line(1) },
            Location { id: 2, mapping_id: 0, address: 0, line: line(2) },
        ],
        function: [(1, 3), (2, 4)].map(|(id, name)| Function { id, name, filename: 0 }).to_vec(),
        string_table: strings.map(str::to_owned).to_vec(),
        time_nanos: unix_ns,
        duration_nanos: 1_000_000_000,
        period_type: Some(kind),
        period: 10_000_000,
        mapping: Vec::new(),
    }
}

/// Nanoseconds of Unix time now.
#[must_use]
pub fn now_ns() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// `bytes`, gzipped.
///
/// # Errors
/// None in practice: it writes to memory.
pub fn gzipped(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// The body of a push of one raw profile under these labels.
#[must_use]
pub fn body(labels: &[(&str, &str)], raw_profile: Vec<u8>) -> Vec<u8> {
    let label = |(name, value): &(&str, &str)| Label {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    let samples = vec![RawSample { raw_profile, id: String::new() }];
    let series = Series { labels: labels.iter().map(label).collect(), samples };
    PushRequest { series: vec![series] }.encode_to_vec()
}

/// The body of a push of a whole profile for `service`.
///
/// # Errors
/// As [`gzipped`].
pub fn service_body(service: &str, profile: &Profile) -> Result<Vec<u8>> {
    let labels = [("__name__", "process_cpu"), ("service_name", service)];
    Ok(body(&labels, gzipped(&profile.encode_to_vec())?))
}

/// Sends a body.
///
/// # Errors
/// When there is no answer.
pub fn send(port: u16, body: &[u8]) -> Result<Answer> {
    http::post(port, PATH, &[("Content-Type", "application/proto")], body)
}
