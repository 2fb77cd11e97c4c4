//! Which spans match, which traces they are of, and what each of those amounts to.

use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use rustc_hash::FxHashMap;

use super::attribute::{details_of, resource_attributes, to_text};
use crate::store::SpanFilter;
use crate::trace::Span;

/// Traces that are remembered for each one that is asked for, before the oldest are forgotten.
const ROOM: usize = 64;

/// A question for traces: those that have a span like this.
#[derive(Clone, Debug, Default)]
pub struct SpanSearch {
    /// What the store can tell.
    pub filter: SpanFilter,
    /// Attributes of the span or of its resource, as text.
    pub attributes: Vec<(String, String)>,
    /// Somewhere in names and values, in small letters.
    pub text: Option<String>,
}

impl SpanSearch {
    /// Whether it takes more than a span's columns to tell whether it matches.
    #[must_use]
    pub fn needs_details(&self) -> bool {
        !self.attributes.is_empty() || self.text.is_some()
    }

    /// Whether a span that the filter accepts matches.
    #[must_use]
    pub fn matches(&self, span: &Span) -> bool {
        if !self.needs_details() {
            return true;
        }
        let own = details_of(span).attributes;
        let of_resource = resource_attributes(&span.resource);
        let all = || own.iter().chain(&of_resource);
        let has = |(key, value): &(String, String)| {
            all().any(|one| one.key == *key && to_text(one.value.as_ref()) == *value)
        };
        self.attributes.iter().all(has)
            && self.text.as_ref().is_none_or(|text| contains(span, all(), text))
    }
}

fn contains<'a>(span: &Span, attributes: impl Iterator<Item = &'a KeyValue>, text: &str) -> bool {
    let has = |value: &str| value.to_lowercase().contains(text);
    [&span.name, &span.service, &span.status_message].into_iter().any(|value| has(value)) || {
        attributes
    }
    .any(|one| has(&one.key) || has(&to_text(one.value.as_ref())))
}

/// The traces with the newest matching spans.
pub struct Newest {
    limit: usize,
    /// Start of a trace's newest match.
    latest: FxHashMap<u128, i64>,
    /// Whether there were more than are remembered.
    forgot: bool,
}

impl Newest {
    /// Of so many traces.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), latest: FxHashMap::default(), forgot: false }
    }

    /// Notes a match.
    pub fn add(&mut self, span: &Span) {
        let latest = self.latest.entry(span.trace_id).or_insert(span.start_unix_ns);
        *latest = (*latest).max(span.start_unix_ns);
        if self.latest.len() >= self.limit.saturating_mul(ROOM).max(4096) {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        let kept = self.sorted();
        self.forgot |= kept.len() > self.limit;
        self.latest = kept.into_iter().take(self.limit).map(|(start, id)| (id, start)).collect();
    }

    fn sorted(&self) -> Vec<(i64, u128)> {
        let mut all: Vec<_> = self.latest.iter().map(|(id, start)| (*start, *id)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        all
    }

    /// Whether nothing older can be among them.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.latest.len() > self.limit
    }

    /// The traces, newest first, and whether there are more.
    #[must_use]
    pub fn finish(self) -> (Vec<u128>, bool) {
        let sorted = self.sorted();
        let more = self.forgot || sorted.len() > self.limit;
        (sorted.into_iter().take(self.limit).map(|(_, id)| id).collect(), more)
    }
}

/// What a trace amounts to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Start of the first span.
    pub start_unix_ns: i64,
    /// End of the last span.
    pub end_unix_ns: i64,
    /// How many spans.
    pub spans: u64,
    /// How many of them failed.
    pub errors: u64,
    /// How many of them match the question.
    pub matched: u64,
    /// Spans by service.
    pub services: BTreeMap<Arc<str>, u64>,
    /// Start, service and name of the root, or of the first span where the root is missing.
    root: Option<(bool, i64, Arc<str>, Arc<str>)>,
}

impl Summary {
    fn add(&mut self, span: &Span, matched: bool) {
        let end_unix_ns = span.start_unix_ns.saturating_add(span.duration_ns());
        if self.spans == 0 {
            (self.start_unix_ns, self.end_unix_ns) = (span.start_unix_ns, end_unix_ns);
        }
        self.start_unix_ns = self.start_unix_ns.min(span.start_unix_ns);
        self.end_unix_ns = self.end_unix_ns.max(end_unix_ns);
        self.spans += 1;
        self.errors += u64::from(span.failed());
        self.matched += u64::from(matched);
        *self.services.entry(Arc::clone(&span.service)).or_default() += 1;
        let is_child = span.parent_span_id != 0;
        let key = (is_child, span.start_unix_ns);
        if self.root.as_ref().is_none_or(|root| key < (root.0, root.1)) {
            self.root = Some((key.0, key.1, Arc::clone(&span.service), Arc::clone(&span.name)));
        }
    }

    /// Service and name of the root.
    #[must_use]
    pub fn root(&self) -> (&str, &str) {
        self.root.as_ref().map_or(("", ""), |(_, _, service, name)| (service, name))
    }

    /// Whether the root is there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.root.as_ref().is_some_and(|root| !root.0)
    }
}

/// Summaries of some traces while their spans are read.
#[derive(Default)]
pub struct Summaries(FxHashMap<u128, Summary>);

impl Summaries {
    /// Adds a span to its trace.
    pub fn add(&mut self, span: &Span, matched: bool) {
        self.0.entry(span.trace_id).or_default().add(span, matched);
    }

    /// The traces, newest first.
    #[must_use]
    pub fn finish(self) -> Vec<(u128, Summary)> {
        let mut all: Vec<_> = self.0.into_iter().collect();
        all.sort_unstable_by_key(|(id, summary)| (std::cmp::Reverse(summary.start_unix_ns), *id));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace_id: u128, span_id: u64, parent_span_id: u64, start: i64) -> Span {
        let (start_unix_ns, end_unix_ns) = (start, start + 10);
        Span { trace_id, span_id, parent_span_id, start_unix_ns, end_unix_ns, ..Span::default() }
    }

    #[test]
    fn the_newest_traces_are_kept_and_the_rest_is_said_to_be_there() {
        let mut newest = Newest::new(2);
        for n in 0..10_000_i64 {
            newest.add(&span(u128::from(n.unsigned_abs()) + 1, 1, 0, n));
        }
        assert_eq!(newest.finish(), (vec![10_000, 9_999], true));
        let mut few = Newest::new(2);
        few.add(&span(7, 1, 0, 5));
        few.add(&span(7, 2, 1, 6));
        assert_eq!(few.finish(), (vec![7], false));
    }

    #[test]
    fn a_summary_names_the_root_even_if_a_child_began_before_it() {
        let mut summaries = Summaries::default();
        let root = Span { name: "root".into(), ..span(1, 1, 0, 100) };
        let early = Span { name: "early".into(), status: 2, ..span(1, 2, 1, 90) };
        summaries.add(&early, false);
        summaries.add(&root, true);
        let [(_, summary)] = &summaries.finish()[..] else { panic!("one trace") };
        assert_eq!(summary.root().1, "root");
        assert!(summary.is_complete());
        assert_eq!((summary.start_unix_ns, summary.end_unix_ns), (90, 110));
        assert_eq!((summary.spans, summary.errors, summary.matched), (2, 1, 1));
    }
}
