//! Pyroscope's `push.v1.PusherService/Push`: the request's two spellings.

use std::borrow::Cow;

use base64::Engine;
use serde::Deserialize;

use super::error::IngestError;
use super::limits::Limits;
use super::protobuf::Fields;

/// One series of a push: labels, and profiles as raw or gzipped pprof.
#[derive(Default)]
pub(super) struct RawSeries<'a> {
    pub(super) labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(super) profiles: Vec<Cow<'a, [u8]>>,
}

/// `PushRequest{1 series[]}`.
pub(super) fn parse_proto<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<Vec<RawSeries<'a>>, IngestError> {
    let mut all = Vec::new();
    let mut fields = Fields::new("push request", bytes);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            let series = parse_series(field.value.bytes("push request")?, limits)?;
            add(&mut all, series, "series of one push", limits.profiles)?;
        }
    }
    check_count(&all, limits)?;
    Ok(all)
}

/// `RawProfileSeries{1 labels[], 2 samples[]}`.
fn parse_series<'a>(bytes: &'a [u8], limits: &Limits) -> Result<RawSeries<'a>, IngestError> {
    let mut series = RawSeries::default();
    let mut fields = Fields::new("series", bytes);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => {
                let label = parse_label(field.value.bytes("label")?)?;
                add(&mut series.labels, label, "labels of one series", 2 * limits.labels)?;
            }
            2 => {
                let profile = parse_sample(field.value.bytes("sample")?)?;
                add(
                    &mut series.profiles,
                    Cow::Borrowed(profile),
                    "profiles of one push",
                    limits.profiles,
                )?;
            }
            _ => {}
        }
    }
    Ok(series)
}

/// `LabelPair{1 name, 2 value}`.
fn parse_label(bytes: &[u8]) -> Result<(Cow<'_, str>, Cow<'_, str>), IngestError> {
    let (mut name, mut value) = ("", "");
    let mut fields = Fields::new("label", bytes);
    while let Some(field) = fields.next()? {
        let text = || {
            std::str::from_utf8(field.value.bytes("label")?)
                .map_err(|error| IngestError::malformed("label", error.to_string()))
        };
        match field.number {
            1 => name = text()?,
            2 => value = text()?,
            _ => {}
        }
    }
    Ok((Cow::Borrowed(name), Cow::Borrowed(value)))
}

/// `RawSample{1 raw_profile}`.
fn parse_sample(bytes: &[u8]) -> Result<&[u8], IngestError> {
    let mut profile: &[u8] = &[];
    let mut fields = Fields::new("sample", bytes);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            profile = field.value.bytes("sample")?;
        }
    }
    Ok(profile)
}

fn add<T>(list: &mut Vec<T>, item: T, what: &'static str, limit: usize) -> Result<(), IngestError> {
    if list.len() >= limit {
        return Err(IngestError::TooMany { what, limit });
    }
    list.push(item);
    Ok(())
}

fn check_count(all: &[RawSeries<'_>], limits: &Limits) -> Result<(), IngestError> {
    let count: usize = all.iter().map(|series| series.profiles.len()).sum();
    if count > limits.profiles {
        return Err(IngestError::TooMany { what: "profiles of one push", limit: limits.profiles });
    }
    Ok(())
}

#[derive(Deserialize)]
struct JsonRequest<'a> {
    #[serde(default, borrow)]
    series: Vec<JsonSeries<'a>>,
}

#[derive(Deserialize)]
struct JsonSeries<'a> {
    #[serde(default, borrow)]
    labels: Vec<JsonLabel<'a>>,
    #[serde(default, borrow)]
    samples: Vec<JsonSample<'a>>,
}

#[derive(Deserialize)]
struct JsonLabel<'a> {
    #[serde(default, borrow)]
    name: Cow<'a, str>,
    #[serde(default, borrow)]
    value: Cow<'a, str>,
}

#[derive(Deserialize)]
struct JsonSample<'a> {
    #[serde(default, borrow, rename = "rawProfile", alias = "raw_profile")]
    raw_profile: Cow<'a, str>,
}

/// The same request as protobuf's JSON, profiles in base64.
pub(super) fn parse_json<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<Vec<RawSeries<'a>>, IngestError> {
    let request: JsonRequest<'a> = serde_json::from_slice(bytes)
        .map_err(|error| IngestError::malformed("push request", error.to_string()))?;
    let mut all = Vec::new();
    for json in request.series {
        let labels = json.labels.into_iter().map(|label| (label.name, label.value)).collect();
        let mut series = RawSeries { labels, profiles: Vec::new() };
        for sample in &json.samples {
            series.profiles.push(Cow::Owned(unbase64(&sample.raw_profile)?));
        }
        add(&mut all, series, "series of one push", limits.profiles)?;
    }
    check_count(&all, limits)?;
    Ok(all)
}

fn unbase64(text: &str) -> Result<Vec<u8>, IngestError> {
    // Protobuf's JSON takes the standard and the URL alphabet, padded or not.
    let standard: String = text
        .trim_end_matches('=')
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(standard)
        .map_err(|error| IngestError::malformed("rawProfile", error.to_string()))
}
