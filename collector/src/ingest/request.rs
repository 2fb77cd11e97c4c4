//! A request's body, plain and whole, to the profiles it carries. No I/O and no clock.

use std::sync::Arc;

use super::application::{Format, Parameters, name_for};
use super::body::Unzip;
use super::error::IngestError;
use super::labels::LabelSet;
use super::limits::Limits;
use super::push::RawSeries;
use super::{folded, multipart, pprof};
use crate::profile::Profile;

/// What a request carried.
#[derive(Default)]
pub(super) struct Decoded {
    pub(super) profiles: Vec<Profile>,
    /// True if some profile did not say when it was taken. Such a request has no identity: the
    /// same bytes may well be a new profile.
    pub(super) timeless: bool,
    totals: pprof::Totals,
}

/// The profiles of a push. `now_unix_ms` is the start of those that do not say one.
pub(super) fn pushed(
    all: Vec<RawSeries<'_>>,
    unzip: &mut Unzip,
    now_unix_ms: i64,
    limits: &Limits,
) -> Result<Decoded, IngestError> {
    let mut decoded = Decoded::default();
    for series in all {
        let mut labels = LabelSet::default();
        for (name, value) in &series.labels {
            labels.set(name, value, limits)?;
        }
        labels.default_service("unknown_service");
        let name = labels.name.clone().unwrap_or_else(|| Arc::from("process_cpu"));
        for profile in &series.profiles {
            let name = Arc::clone(&name);
            let context =
                pprof::Context { labels: &labels, name, default_unix_ms: now_unix_ms, limits };
            add_pprof(profile, unzip, &context, &mut decoded, false)?;
        }
    }
    check_times(&decoded.profiles, now_unix_ms, limits)?;
    Ok(decoded)
}

fn add_pprof(
    bytes: &[u8],
    unzip: &mut Unzip,
    context: &pprof::Context<'_>,
    decoded: &mut Decoded,
    timed_by_request: bool,
) -> Result<(), IngestError> {
    let plain = unzip.plain(bytes)?;
    let message = pprof::Message::parse(&plain, context.limits)?;
    decoded.timeless |= !message.has_time() && !timed_by_request;
    decoded.profiles.extend(pprof::profiles(&message, context, &mut decoded.totals)?);
    Ok(())
}

/// The profiles of an `/ingest` request.
pub(super) fn ingested(
    parameters: &Parameters,
    content_type: &str,
    body: &[u8],
    unzip: &mut Unzip,
    now_unix_ms: i64,
    limits: &Limits,
) -> Result<Decoded, IngestError> {
    let labels = parameters.labels(limits)?;
    let format = parameters.format()?;
    let body = match multipart::boundary(content_type) {
        Some(boundary) => profile_part(&multipart::parts(body, boundary)?)?,
        None => body,
    };
    let from = parameters.start_unix_ms()?;
    let start_unix_ms = from.unwrap_or(now_unix_ms);
    let mut decoded = Decoded::default();
    match format.unwrap_or_else(|| sniff(body)) {
        Format::Pprof => {
            let plain = unzip.plain(body)?;
            let message = pprof::Message::parse(&plain, limits)?;
            let kind = message.first_sample_type().unwrap_or_default();
            let name = labels.name.clone().unwrap_or_else(|| Arc::from(name_for(&kind)));
            let context =
                pprof::Context { labels: &labels, name, default_unix_ms: start_unix_ms, limits };
            add_pprof(&plain, unzip, &context, &mut decoded, from.is_some())?;
        }
        lines => {
            let plain = unzip.plain(body)?;
            let counted = lines == Format::Folded;
            let meaning = parameters.meaning()?;
            let labels = labels.labels();
            decoded.timeless = from.is_none();
            let profile = folded::parse(&plain, counted, &meaning, labels, start_unix_ms, limits)?;
            decoded.profiles.push(profile);
        }
    }
    check_times(&decoded.profiles, now_unix_ms, limits)?;
    Ok(decoded)
}

fn profile_part<'a>(parts: &[multipart::Part<'a>]) -> Result<&'a [u8], IngestError> {
    if parts.iter().any(|part| part.name == "jfr") {
        return Err(IngestError::Unsupported {
            what: "part",
            got: "jfr".to_owned(),
            accepted: "profile, with pprof or folded text",
        });
    }
    let part = parts.iter().find(|part| part.name == "profile");
    let missing = || IngestError::BadParameter {
        name: "profile",
        why: "the multipart body has no such part".to_owned(),
    };
    Ok(part.ok_or_else(missing)?.body)
}

/// gzip and pprof's first tags are no printable text.
fn sniff(body: &[u8]) -> Format {
    match body.first() {
        Some(0x1f | 0x0a | 0x12) if body.get(1).is_some_and(|byte| *byte != b'\n') => Format::Pprof,
        _ => Format::Folded,
    }
}

fn check_times(profiles: &[Profile], now_unix_ms: i64, limits: &Limits) -> Result<(), IngestError> {
    for profile in profiles {
        let start_unix_ms = profile.start_unix_ms;
        if start_unix_ms > now_unix_ms.saturating_add(limits.future_ms) {
            let why = "which is too far in the future: check the sender's clock";
            return Err(IngestError::BadTime { start_unix_ms, why });
        }
        if start_unix_ms < now_unix_ms.saturating_sub(limits.age_ms) {
            let why = "which is older than what is kept";
            return Err(IngestError::BadTime { start_unix_ms, why });
        }
    }
    Ok(())
}
