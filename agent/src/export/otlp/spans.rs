//! Spans as OpenTelemetry's SDK has them, which its exporter sends.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::http::Side;
use crate::requests::{Process, Span};

/// Who says so.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("sonde-agent").with_version(env!("CARGO_PKG_VERSION")).build()
}

/// A process as a resource.
pub(super) fn resource(process: &Process, host: &str) -> Resource {
    let identity = &process.identity;
    // A pid is used again; with its beginning it is one process of this host for good.
    let instance = format!("{host}/{}/{}", process.pid, process.start_ticks);
    let mut attributes = vec![
        KeyValue::new("service.name", identity.service.to_string()),
        KeyValue::new("service.instance.id", instance),
        KeyValue::new("process.pid", i64::from(process.pid)),
        KeyValue::new("host.name", host.to_owned()),
        KeyValue::new("os.type", "linux"),
    ];
    if let Some(id) = &identity.container_id {
        attributes.push(KeyValue::new("container.id", id.to_string()));
    }
    Resource::builder_empty().with_attributes(attributes).build()
}

/// `clock_ns`: when `CLOCK_BOOTTIME` was zero, in nanoseconds since 1970.
pub(super) fn data(span: Span, scope: &InstrumentationScope, clock_ns: u64) -> SpanData {
    let (parent, is_remote) = span.parent.unwrap_or((SpanId::INVALID, false));
    let state = span.trace_state.parse().unwrap_or_default();
    SpanData {
        span_context: SpanContext::new(
            span.trace_id,
            span.span_id,
            TraceFlags::SAMPLED,
            false,
            state,
        ),
        parent_span_id: parent,
        parent_span_is_remote: is_remote,
        span_kind: match span.side {
            Side::Server => SpanKind::Server,
            Side::Client => SpanKind::Client,
        },
        name: span.name.into(),
        start_time: time(clock_ns, span.start_ns),
        end_time: time(clock_ns, span.end_ns),
        attributes: span.attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: if span.is_error { Status::error("") } else { Status::Unset },
        instrumentation_scope: scope.clone(),
    }
}

fn time(clock_ns: u64, boot_ns: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(clock_ns.saturating_add(boot_ns))
}
