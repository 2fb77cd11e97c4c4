//! One trace whole, as JSON. Spans are unpacked one at a time while they are written out: a trace
//! may have a hundred thousand.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use prost::Message;
use rustc_hash::FxHashMap;
use serde::{Serialize, Serializer};

use super::attribute::{Attribute, details_of, resource_attributes, shown};
use crate::trace::Span;

const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const STATUSES: [&str; 3] = ["unset", "ok", "error"];

/// The spans of one trace, sorted, and their resources.
pub struct Trace {
    start_unix_ns: i64,
    duration_ns: i64,
    spans: Vec<Span>,
    resources: Vec<Arc<[u8]>>,
    places: FxHashMap<Arc<[u8]>, usize>,
}

impl Trace {
    /// Sorts by start, parents before children where those are equal. `None` without spans.
    #[must_use]
    pub fn new(mut spans: Vec<Span>) -> Option<Self> {
        let parents: FxHashMap<u64, u64> =
            spans.iter().map(|span| (span.span_id, span.parent_span_id)).collect();
        spans.sort_by_cached_key(|span| (span.start_unix_ns, depth(span, &parents), span.span_id));
        let start_unix_ns = spans.first()?.start_unix_ns;
        let end = |span: &Span| span.start_unix_ns.saturating_add(span.duration_ns());
        let end_unix_ns = spans.iter().map(end).max()?;
        let (mut resources, mut places) = (Vec::new(), FxHashMap::default());
        for span in &spans {
            places.entry(Arc::clone(&span.resource)).or_insert_with(|| {
                resources.push(Arc::clone(&span.resource));
                resources.len() - 1
            });
        }
        let duration_ns = end_unix_ns.saturating_sub(start_unix_ns);
        Some(Self { start_unix_ns, duration_ns, spans, resources, places })
    }

    /// Start of the first span.
    #[must_use]
    pub fn start_unix_ns(&self) -> i64 {
        self.start_unix_ns
    }

    /// From the first start to the last end.
    #[must_use]
    pub fn duration_ns(&self) -> i64 {
        self.duration_ns
    }

    /// The spans as they are shown.
    pub fn spans(&self) -> impl ExactSizeIterator<Item = SpanView<'_>> {
        self.spans.iter().map(|span| SpanView { span, trace: self })
    }

    /// The resources, in the order that spans name them by.
    #[must_use]
    pub fn resources(&self) -> Vec<ResourceView> {
        let view = |resource: &Arc<[u8]>| {
            let first = self.spans.iter().find(|span| span.resource == *resource);
            let service = first.map(|span| Arc::clone(&span.service)).unwrap_or_default();
            ResourceView { service, attributes: shown(resource_attributes(resource)) }
        };
        self.resources.iter().map(view).collect()
    }

    /// Services, and how many spans each has.
    #[must_use]
    pub fn services(&self) -> std::collections::BTreeMap<&str, u64> {
        let mut services = std::collections::BTreeMap::new();
        self.spans.iter().for_each(|span| *services.entry(&*span.service).or_default() += 1);
        services
    }
}

/// How far below the root, as far as parents are there; a circle of parents ends too.
fn depth(span: &Span, parents: &FxHashMap<u64, u64>) -> u32 {
    let (mut depth, mut id) = (0, span.parent_span_id);
    while let Some(parent) = parents.get(&id)
        && depth < 64
    {
        depth += 1;
        id = *parent;
    }
    depth
}

/// A resource as it is shown.
#[derive(Serialize)]
pub struct ResourceView {
    service: Arc<str>,
    attributes: Vec<Attribute>,
}

/// A span as it is shown.
pub struct SpanView<'a> {
    span: &'a Span,
    trace: &'a Trace,
}

#[derive(Serialize)]
struct Shown<'a> {
    span_id: String,
    parent_span_id: Option<String>,
    name: &'a str,
    kind: &'static str,
    service: &'a str,
    resource: usize,
    start_offset_ns: i64,
    duration_ns: i64,
    status: &'static str,
    status_message: &'a str,
    attributes: Vec<Attribute>,
    events: Vec<Event>,
    links: Vec<Link>,
    scope: String,
    dropped_attributes: u32,
    dropped_events: u32,
    dropped_links: u32,
    trace_state: String,
}

#[derive(Serialize)]
struct Event {
    offset_ns: i64,
    name: String,
    attributes: Vec<Attribute>,
}

#[derive(Serialize)]
struct Link {
    trace_id: String,
    span_id: String,
    attributes: Vec<Attribute>,
}

impl Serialize for SpanView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = self.span;
        let details = details_of(span);
        let start = self.trace.start_unix_ns;
        let offset = |unix_ns: i64| unix_ns.saturating_sub(start);
        let event = |event: opentelemetry_proto::tonic::trace::v1::span::Event| Event {
            offset_ns: offset(i64::try_from(event.time_unix_nano).unwrap_or(i64::MAX)),
            name: event.name,
            attributes: attributes(event.attributes),
        };
        let link = |link: opentelemetry_proto::tonic::trace::v1::span::Link| Link {
            trace_id: hex(&link.trace_id),
            span_id: hex(&link.span_id),
            attributes: attributes(link.attributes),
        };
        let scope = ScopeSpans::decode(&span.scope[..]).unwrap_or_default().scope;
        let parent = span.parent_span_id;
        let word = |words: &[&'static str], number: u8| {
            words.get(usize::from(number)).copied().unwrap_or(words[0])
        };
        Shown {
            span_id: format!("{:016x}", span.span_id),
            parent_span_id: (parent != 0).then(|| format!("{parent:016x}")),
            name: &span.name,
            kind: word(&KINDS, span.kind),
            service: &span.service,
            resource: self.trace.places.get(&span.resource).copied().unwrap_or(0),
            start_offset_ns: offset(span.start_unix_ns),
            duration_ns: span.duration_ns(),
            status: word(&STATUSES, span.status),
            status_message: &span.status_message,
            attributes: attributes(details.attributes),
            events: details.events.into_iter().map(event).collect(),
            links: details.links.into_iter().map(link).collect(),
            scope: scope.map(|scope| scope.name).unwrap_or_default(),
            dropped_attributes: details.dropped_attributes_count,
            dropped_events: details.dropped_events_count,
            dropped_links: details.dropped_links_count,
            trace_state: details.trace_state,
        }
        .serialize(serializer)
    }
}

fn attributes(attributes: Vec<KeyValue>) -> Vec<Attribute> {
    shown(attributes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(span_id: u64, parent_span_id: u64, start_unix_ns: i64) -> Span {
        Span { trace_id: 1, span_id, parent_span_id, start_unix_ns, ..Span::default() }
    }

    #[test]
    fn parents_come_before_children_of_the_same_start() {
        let trace = Trace::new(vec![span(1, 2, 5), span(2, 3, 5), span(3, 0, 5)]);
        let ids: Vec<u64> = trace.expect("spans").spans.iter().map(|span| span.span_id).collect();
        assert_eq!(ids, [3, 2, 1]);
    }

    #[test]
    fn spans_that_are_each_other_s_parents_come_to_an_end() {
        let trace = Trace::new(vec![span(1, 2, 5), span(2, 1, 5)]).expect("spans");
        assert_eq!(trace.spans().len(), 2);
        assert!(Trace::new(Vec::new()).is_none());
    }
}
