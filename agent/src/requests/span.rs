//! An exchange as a span, with the attributes that OpenTelemetry's conventions give to HTTP:
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>.

use std::net::SocketAddr;
use std::sync::Arc;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry::{KeyValue, Value};

use super::key::{Key, Timing};
use super::node::{Kept, Node, Parent};
use super::process::Process;
use super::sampling::written;
use crate::http::{Exchange, Request, Side};

/// A finished request at one of its ends.
#[derive(Clone, Debug)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The span that caused it, and whether another process made that.
    pub parent: Option<(SpanId, bool)>,
    /// What goes into `tracestate`.
    pub trace_state: String,
    /// Which end it is.
    pub side: Side,
    /// Method and route.
    pub name: String,
    /// When it began, on `CLOCK_BOOTTIME`.
    pub start_ns: u64,
    /// When it ended, on the same clock.
    pub end_ns: u64,
    /// By the conventions.
    pub attributes: Vec<KeyValue>,
    /// Whether it failed, as the conventions see it.
    pub is_error: bool,
    /// Whose it is.
    pub process: Arc<Process>,
}

/// What a span is made of besides its exchange.
pub(super) struct Around<'a> {
    pub(super) node: &'a Node,
    pub(super) trace_id: TraceId,
    pub(super) kept: Kept,
    pub(super) key: &'a Key,
    pub(super) timing: Timing,
    pub(super) process: &'a Arc<Process>,
    pub(super) peer: Option<SocketAddr>,
}

impl Span {
    pub(super) fn new(exchange: &Exchange, around: &Around<'_>) -> Self {
        let Around { node, key, timing, .. } = around;
        Self {
            trace_id: around.trace_id,
            span_id: node.span_id,
            parent: node.parent.get().map(|Parent { span_id, is_remote }| (span_id, is_remote)),
            trace_state: trace_state(&exchange.request, around.kept),
            side: exchange.side,
            name: key.span_name(),
            start_ns: timing.start_ns,
            end_ns: timing.end_ns,
            attributes: attributes(exchange, around),
            is_error: !key.error.is_empty(),
            process: Arc::clone(around.process),
        }
    }
}

/// What whoever began the trace says goes on; of one that began here, the chance it was kept by.
fn trace_state(request: &Request, kept: Kept) -> String {
    match kept {
        Kept::AsAsked => request.trace_state().unwrap_or_default().to_owned(),
        Kept::Threshold(threshold) => format!("ot=th:{}", written(threshold)),
    }
}

fn attributes(exchange: &Exchange, around: &Around<'_>) -> Vec<KeyValue> {
    let (request, key) = (&exchange.request, around.key);
    let mut all = Vec::with_capacity(20);
    let mut add = |name: &'static str, value: Value| all.push(KeyValue::new(name, value));
    add("http.request.method", key.method.into());
    if key.method == "_OTHER" {
        add("http.request.method_original", text(request.method()));
    }
    if let Some(response) = &exchange.response {
        add("http.response.status_code", i64::from(response.status).into());
        add("http.response.body.size", count(response.transfer.body_bytes));
    }
    if !key.error.is_empty() {
        add("error.type", key.error_type().into_owned().into());
    }
    add("http.request.body.size", count(request.transfer.body_bytes));
    let version = if request.minor_version == 0 { "1.0" } else { "1.1" };
    add("network.protocol.name", "http".into());
    add("network.protocol.version", version.into());
    add("network.transport", if around.peer.is_some() { "tcp" } else { "unix" }.into());
    if let Some(peer) = around.peer {
        add("network.peer.address", peer.ip().to_string().into());
        add("network.peer.port", i64::from(peer.port()).into());
    }
    if let Some(agent) = request.user_agent() {
        add("user_agent.original", text(agent));
    }
    match exchange.side {
        Side::Server => {
            add("url.scheme", "http".into());
            add("url.path", text(request.path()));
            if !key.route.is_empty() {
                add("http.route", text(&key.route));
            }
            if let Some((host, port)) = host_and_port(request) {
                add("server.address", text(host));
                if let Some(port) = port {
                    add("server.port", i64::from(port).into());
                }
            }
            if let Some(peer) = around.peer {
                add("client.address", peer.ip().to_string().into());
            }
        }
        Side::Client => {
            if let Some((address, port)) = &key.spoken.server {
                add("server.address", text(address));
                add("server.port", i64::from(*port).into());
                add("url.full", format!("http://{address}:{port}{}", request.path()).into());
            }
            if let Some(service) = &*around.node.other_end.borrow() {
                add("service.peer.name", text(service));
            }
        }
    }
    add("thread.id", i64::from(request.transfer.tid).into());
    all
}

/// The `Host` field's two parts, without a name and a password before them.
pub(super) fn host_and_port(request: &Request) -> Option<(&str, Option<u16>)> {
    let host = request.host()?.rsplit('@').next()?;
    let (name, stated) = host.rsplit_once(':').unwrap_or((host, ""));
    Some(stated.parse().map_or((host, None), |port| (name, Some(port))))
}

fn text(text: &str) -> Value {
    text.to_owned().into()
}

fn count(count: u64) -> Value {
    i64::try_from(count).unwrap_or(i64::MAX).into()
}
