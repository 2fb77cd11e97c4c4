//! What becomes of exchanges that have ended: they are counted, and the spans of some are kept. One
//! that may turn out to be part of another trace waits for that.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use sonde_ebpf::{DropReason, limits::COMM_BYTES};

use super::edges::Edge;
use super::key::{Key, Spoken, Timing};
use super::node::{Kept, Node};
use super::parents::{Ends, Parents};
use super::process::{Process, Processes};
use super::sampling::Sampler;
use super::span::{Around, Span, host_and_port};
use super::{RequestMetrics, SamplingSettings};
use crate::http::{Exchange, Request, Side};

/// Exchanges that wait at a time; of more the first go without waiting.
const MAX_WAITING: usize = 10_000;
/// Spans that wait to be handed on: who asks for all of them by `traceparent` is not sampled.
const MAX_SPANS: usize = 8192;
/// Longest name of a server that is asked for.
const MAX_HOST: usize = 128;

/// An exchange that is over.
pub(super) struct Ended {
    pub(super) exchange: Exchange,
    pub(super) node: Rc<Node>,
    pub(super) process: Arc<Process>,
    pub(super) ends: Ends,
}

/// From their beginnings to their spans.
pub(super) struct Endings {
    metrics: RequestMetrics,
    processes: Processes,
    parents: Parents,
    sampler: Sampler,
    waiting: VecDeque<Ended>,
    spans: Vec<Span>,
}

impl Endings {
    pub(super) fn new(
        proc_root: PathBuf,
        metrics: RequestMetrics,
        sampling: SamplingSettings,
    ) -> Self {
        Self {
            metrics,
            processes: Processes::new(proc_root),
            parents: Parents::default(),
            sampler: Sampler::new(sampling),
            waiting: VecDeque::new(),
            spans: Vec::new(),
        }
    }

    /// Whose connection it is.
    pub(super) fn process(
        &mut self,
        pid: u32,
        comm: [u8; COMM_BYTES],
        now_ns: u64,
    ) -> Arc<Process> {
        self.processes.get(pid, comm, now_ns)
    }

    /// The same, as it was last said.
    pub(super) fn known(&self, pid: u32) -> Option<&Arc<Process>> {
        self.processes.last(pid)
    }

    /// A request has begun.
    pub(super) fn begin(
        &mut self,
        side: Side,
        request: &Request,
        ends: Ends,
        service: &Arc<str>,
    ) -> Rc<Node> {
        self.parents.begin(side, request, ends, service)
    }

    /// An exchange is over.
    pub(super) fn end(&mut self, ended: Ended) {
        let Ended { exchange, node, ends, .. } = &ended;
        self.parents.end(exchange.side, &exchange.request, *ends, node);
        let now_ns = Timing::of(exchange).map_or(0, |timing| timing.end_ns);
        if node.trace.with(|root| now_ns < root.open_until_ns) {
            self.waiting.push_back(ended);
            if self.waiting.len() > MAX_WAITING {
                self.first_goes();
            }
        } else {
            self.goes(&ended);
        }
    }

    fn first_goes(&mut self) {
        if let Some(first) = self.waiting.pop_front() {
            self.goes(&first);
        }
    }

    /// Counts it, and keeps its span or not.
    fn goes(&mut self, ended: &Ended) {
        let Ended { exchange, node, process, ends } = ended;
        if exchange.side == Side::Server {
            self.parents.forget(&exchange.request, *ends);
        }
        let Some(timing) = Timing::of(exchange) else { return };
        let server = (exchange.side == Side::Client).then(|| server_of(exchange, ends.peer));
        let service = Arc::clone(&process.identity.service);
        let key = Key::of(exchange, Spoken { service, server: server.flatten() });
        let is_error = !key.error.is_empty();
        let mut kept = self.keeps(node, is_error, timing);
        if kept.is_some() && self.spans.len() >= MAX_SPANS {
            self.metrics.lose(DropReason::TooManySpans, 1);
            kept = None;
        }
        let trace_id = node.trace.with(|root| root.id);
        self.metrics.add(&key, exchange, timing, kept.map(|_| trace_id));
        match exchange.side {
            Side::Client => {
                if let Some(edge) = Edge::of_client(node, &key) {
                    self.metrics.sent(&edge, timing, is_error);
                }
            }
            Side::Server => {
                if let Some(edge) = Edge::of_server(node) {
                    self.metrics.served(&edge, timing);
                }
            }
        }
        if let Some(kept) = kept {
            self.metrics.spans.inc();
            let (key, peer) = (&key, ends.peer);
            let around = Around { node, trace_id, kept, key, timing, process, peer };
            self.spans.push(Span::new(exchange, &around));
        }
    }

    /// Whether the span is kept: with its trace, or for its own sake.
    fn keeps(&mut self, node: &Node, is_error: bool, timing: Timing) -> Option<Kept> {
        let sampler = &mut self.sampler;
        node.trace.with(|root| match root.sampled {
            Some(true) => Some(Kept::AsAsked),
            Some(false) => None,
            None => root
                .kept
                .get_or_insert_with(|| sampler.trace(root.id))
                .or_else(|| sampler.spares(root.id, is_error, timing.length_ns())),
        })
    }

    /// A second or so has gone by.
    pub(super) fn tick(&mut self, now_ns: u64) {
        let is_over = |ended: &Ended| ended.node.trace.with(|root| root.open_until_ns <= now_ns);
        while self.waiting.front().is_some_and(is_over) {
            self.first_goes();
        }
        self.sampler.tick();
        self.processes.expire(now_ns);
    }

    /// Nothing is waited for any more.
    pub(super) fn finish(&mut self) {
        while !self.waiting.is_empty() {
            self.first_goes();
        }
    }

    /// Spans that are known whole since the last call.
    pub(super) fn take_spans(&mut self) -> Vec<Span> {
        std::mem::take(&mut self.spans)
    }
}

/// The server that a client asked for.
fn server_of(exchange: &Exchange, peer: Option<SocketAddr>) -> Option<(Arc<str>, u16)> {
    match (host_and_port(&exchange.request), peer) {
        (Some((host, port)), _) if host.len() <= MAX_HOST => {
            let port = port.or_else(|| Some(peer?.port())).unwrap_or(0);
            Some((host.into(), port))
        }
        (_, Some(peer)) => Some((peer.ip().to_string().into(), peer.port())),
        _ => None,
    }
}
