//! Requests by the name of their span, as Tempo's span metrics have them: of every request, whether its
//! span was kept or not.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::key::Key;
use super::red::{Held, SECONDS};
use crate::aggregate::Distribution;

/// Names of what tells them apart.
pub(super) const SPAN_LABELS: [&str; 4] = ["service", "span_name", "span_kind", "status_code"];

/// All requests whose spans have one name.
pub(super) struct SpanSum {
    pub(super) service: Arc<str>,
    /// When the first of them was counted.
    pub(super) since_ns: u64,
    pub(super) sum: Distribution,
}

/// By the values of [`SPAN_LABELS`].
pub(super) fn sum_by_span(held: &Held) -> BTreeMap<[String; 4], SpanSum> {
    let mut spans: BTreeMap<[String; 4], SpanSum> = BTreeMap::new();
    for (key, measures, since_ns) in held.requests.iter() {
        let new = || SpanSum {
            service: Arc::clone(&key.spoken.service),
            since_ns,
            sum: Distribution::new(SECONDS),
        };
        let span = spans.entry(span_labels(key)).or_insert_with(new);
        span.since_ns = span.since_ns.min(since_ns);
        span.sum.merge(&measures.seconds);
    }
    spans
}

/// Service, name, kind and status of a key's spans, as Tempo writes them.
fn span_labels(key: &Key) -> [String; 4] {
    let name = if key.is_overflow() { "overflow".to_owned() } else { key.span_name() };
    let kind = if key.is_server { "SPAN_KIND_SERVER" } else { "SPAN_KIND_CLIENT" };
    let status = if key.error.is_empty() { "STATUS_CODE_UNSET" } else { "STATUS_CODE_ERROR" };
    [key.spoken.service.to_string(), name, kind.to_owned(), status.to_owned()]
}
