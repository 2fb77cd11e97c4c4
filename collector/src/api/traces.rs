//! Traces: those that match a question, and one whole.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use rustc_hash::FxHashSet;
use serde::Serialize;
use serde_json::{Value, json};

use super::Api;
use super::error::ApiError;
use super::params::{Params, refused};
use crate::query::{Newest, ResourceView, SpanSearch, SpanView, Summaries, Summary, Trace};
use crate::store::{Snapshot, SpanFilter, Visited};
use crate::trace::Span;

/// Spans of a trace are looked for this long before and after the range that one matched in.
const AROUND_MS: i64 = 3_600_000;
/// Spans of one trace that are answered; what has more is no request that a person can read.
const MAX_SPANS: usize = 200_000;
/// Bytes of attributes, events and links that are answered of one trace.
const MAX_BYTES: usize = 128 << 20;
/// Conditions on attributes in one question.
const MAX_ATTRIBUTES: usize = 16;

/// `GET /api/v1/traces`
pub(super) async fn traces(
    State(api): State<Api>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let range = params.range()?;
    let limit = params.number("limit", 50_usize, 1..=500)?;
    let search = search(&params)?;
    let snapshot = api.snapshot();
    let _turn = api.turn().await?;
    let (ids, more, scanned) = newest(&snapshot, &search, limit).await?;
    let summaries = summaries(&snapshot, &search, ids).await?;
    let traces: Vec<Value> = summaries.iter().map(|(id, one)| summary(*id, one)).collect();
    Ok(Json(json!({
        "traces": traces, "scanned_spans": scanned, "more": more,
        "from_ms": range.from_ms, "until_ms": range.until_ms,
    })))
}

fn search(params: &Params) -> Result<SpanSearch, ApiError> {
    let range = params.range()?;
    let text = |name: &str| params.text(name).map(str::to_owned);
    let failed = match params.text("status") {
        None => None,
        Some("error") => Some(true),
        Some("ok") => Some(false),
        Some(_) => return Err(refused("status", "unknown: give one of error, ok")),
    };
    let mut attributes = Vec::new();
    for pair in params.all("attribute") {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| refused("attribute", "not of the form key=value"))?;
        attributes.push((key.to_owned(), value.to_owned()));
    }
    if attributes.len() > MAX_ATTRIBUTES {
        return Err(refused("attribute", format!("given more than {MAX_ATTRIBUTES} times")));
    }
    let filter = SpanFilter {
        service: text("service"),
        name: text("name"),
        route: text("route"),
        failed,
        min_duration_ns: duration_ns(params, "min_duration_ms")?.unwrap_or(0),
        max_duration_ns: duration_ns(params, "max_duration_ms")?,
        without_details: attributes.is_empty() && params.text("text").is_none(),
        trace_ids: None,
        from_unix_ms: range.from_ms,
        until_unix_ms: range.until_ms,
    };
    Ok(SpanSearch { filter, attributes, text: params.text("text").map(str::to_lowercase) })
}

/// A duration in milliseconds, which may have a fraction.
fn duration_ns(params: &Params, name: &'static str) -> Result<Option<i64>, ApiError> {
    let Some(text) = params.text(name) else { return Ok(None) };
    let ms = text.parse::<f64>().ok().filter(|ms| (0.0..1e12).contains(ms));
    let ms = ms.ok_or_else(|| refused(name, "not a number of milliseconds"))?;
    #[expect(clippy::cast_possible_truncation, reason = "below 10^12 ms, as checked above")]
    let ns = (ms * 1e6) as i64;
    Ok(Some(ns))
}

async fn newest(
    snapshot: &Snapshot,
    search: &SpanSearch,
    limit: usize,
) -> Result<(Vec<u128>, bool, u64), ApiError> {
    let mut newest = Newest::new(limit);
    let visit = |visited: Visited<_>| {
        match visited {
            Visited::Row(span) if search.matches(&span) => newest.add(&span),
            Visited::Row(_) => {}
            Visited::End => return newest.is_full(),
        }
        false
    };
    let scanned = snapshot.spans(&search.filter, visit).await?;
    let (ids, more) = newest.finish();
    Ok((ids, more, scanned))
}

async fn summaries(
    snapshot: &Snapshot,
    search: &SpanSearch,
    ids: Vec<u128>,
) -> Result<Vec<(u128, Summary)>, ApiError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let filter = SpanFilter {
        trace_ids: Some(ids.into_iter().collect()),
        from_unix_ms: search.filter.from_unix_ms.saturating_sub(AROUND_MS),
        until_unix_ms: search.filter.until_unix_ms.saturating_add(AROUND_MS),
        without_details: !search.needs_details(),
        ..SpanFilter::default()
    };
    let mut summaries = Summaries::default();
    let visit = |visited: Visited<_>| {
        if let Visited::Row(span) = visited {
            summaries.add(&span, search.filter.accepts(&span) && search.matches(&span));
        }
        false
    };
    snapshot.spans(&filter, visit).await?;
    Ok(summaries.finish())
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds with a fraction, for people")]
fn summary(id: u128, of: &Summary) -> Value {
    let (service, name) = of.root();
    let services: Vec<Value> = of
        .services
        .iter()
        .map(|(service, spans)| json!({ "service": service, "spans": spans }))
        .collect();
    json!({
        "trace_id": format!("{id:032x}"), "root_service": service, "root_name": name,
        "start_ms": of.start_unix_ns as f64 / 1e6,
        "duration_ms": of.end_unix_ns.saturating_sub(of.start_unix_ns) as f64 / 1e6,
        "spans": of.spans, "errors": of.errors, "services": services,
        "matched": of.matched, "complete": of.is_complete(),
    })
}

#[derive(Serialize)]
struct Whole<'a> {
    trace_id: String,
    start_ns: String,
    duration_ns: i64,
    services: Vec<Value>,
    spans: Vec<SpanView<'a>>,
    resources: Vec<ResourceView>,
    truncated: bool,
}

/// `GET /api/v1/traces/{trace_id}`
pub(super) async fn trace(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let wrong = || refused("trace_id", "not 32 hex digits");
    let digits = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let trace_id = u128::from_str_radix(&id, 16).ok().filter(|_| digits).ok_or_else(wrong)?;
    let snapshot = api.snapshot();
    let turn = api.turn().await?;
    let filter = SpanFilter {
        trace_ids: Some(FxHashSet::from_iter([trace_id])),
        from_unix_ms: 0,
        until_unix_ms: i64::MAX,
        ..SpanFilter::default()
    };
    let (mut spans, mut bytes, mut truncated) = (Vec::<Span>::new(), 0, false);
    let visit = |visited: Visited<Span>| {
        if let Visited::Row(span) = visited {
            truncated |= spans.len() >= MAX_SPANS || bytes >= MAX_BYTES;
            if !truncated {
                bytes += span.details.len();
                spans.push(span);
            }
        }
        false
    };
    snapshot.spans(&filter, visit).await?;
    let body = api.compute(move || {
        let _turn = turn;
        Trace::new(spans).map(|trace| whole(trace_id, &trace, truncated))
    });
    let body = body.await?.ok_or_else(|| ApiError::NoTrace(format!("{trace_id:032x}")))?;
    let body = body.map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn whole(id: u128, trace: &Trace, truncated: bool) -> Result<Vec<u8>, serde_json::Error> {
    let service = |(service, spans)| json!({ "service": service, "spans": spans });
    serde_json::to_vec(&Whole {
        trace_id: format!("{id:032x}"),
        start_ns: trace.start_unix_ns().to_string(),
        duration_ns: trace.duration_ns(),
        services: trace.services().into_iter().map(service).collect(),
        spans: trace.spans().collect(),
        resources: trace.resources(),
        truncated,
    })
}
