//! A span as it is stored: what questions ask for as fields, everything else as OTLP's own bytes,
//! so that nothing is lost. Wire formats are `ingest`'s.

use std::sync::Arc;

/// One span. `resource`, `scope` and `details` are OTLP messages in protobuf without the parts that
/// are fields here, or rows of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Trace id, its first byte the most significant.
    pub trace_id: u128,
    /// Span id, its first byte the most significant.
    pub span_id: u64,
    /// Parent's span id; 0 where there is none.
    pub parent_span_id: u64,
    /// OTLP's number: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: u8,
    /// OTLP's number: 0 unset, 1 ok, 2 error.
    pub status: u8,
    /// Start, in nanoseconds since 1970.
    pub start_unix_ns: i64,
    /// End, in nanoseconds since 1970; a sender's clock may put it before the start.
    pub end_unix_ns: i64,
    /// `service.name` of the resource.
    pub service: Arc<str>,
    /// Name of the span.
    pub name: Arc<str>,
    /// `http.route`; empty where there is none.
    pub route: Arc<str>,
    /// What the status says.
    pub status_message: Arc<str>,
    /// `ResourceSpans` without spans.
    pub resource: Arc<[u8]>,
    /// `ScopeSpans` without spans.
    pub scope: Arc<[u8]>,
    /// `Span` without what is a field here: attributes, events, links, state, flags.
    pub details: Arc<[u8]>,
}

/// A span's status where it failed.
pub const STATUS_ERROR: u8 = 2;

impl Span {
    /// Time it took, in nanoseconds; never negative.
    #[must_use]
    pub fn duration_ns(&self) -> i64 {
        self.end_unix_ns.saturating_sub(self.start_unix_ns).max(0)
    }

    /// Whether it failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.status == STATUS_ERROR
    }
}
