//! The connections of this host that speak HTTP: each record goes to its own, and what comes out is
//! named and counted.

use std::{collections::VecDeque, path::PathBuf, rc::Rc, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};
use sonde_ebpf::{DropReason, limits::COMM_BYTES, socket::SocketEvent};

use super::ended::{Ended, Endings};
use super::key::method_of;
use super::node::Node;
use super::parents::{Ends, low};
use super::{RequestMetrics, SamplingSettings, Span};
use crate::{
    http::{Chunk, Close, Closer, Connection, Direction, Found, Patience, Side, Verdict},
    record::SocketCall,
};

/// Connections followed at a time; calls on further ones are counted.
const MAX_CONNECTIONS: usize = 100_000;
/// A connection without a byte in so long is forgotten: sockets of the Unix domain do not say when
/// they are closed.
const IDLE_NS: u64 = 10 * 60 * 1_000_000_000;
const PATIENCE: Patience =
    Patience { unmarked_ns: 5_000_000_000, exchange_ns: 300 * 1_000_000_000 };

/// All of them.
pub struct Connections {
    metrics: RequestMetrics,
    followed: FxHashMap<u64, Followed>,
    /// Sockets that were given up: their records mean nothing any more.
    given_up: FxHashSet<u64>,
    endings: Endings,
    found: Found,
    not_followed: u64,
    own_pid: u32,
}

struct Followed {
    connection: Connection,
    pid: u32,
    comm: [u8; COMM_BYTES],
    ends: Ends,
    /// Requests that are under way, by their number; those up to `begun` were seen to begin.
    nodes: VecDeque<(u64, Rc<Node>)>,
    begun: u64,
    last_ns: u64,
}

impl Connections {
    /// None yet. Processes are named by what `proc_root` tells.
    #[must_use]
    pub fn new(proc_root: PathBuf, metrics: RequestMetrics, sampling: SamplingSettings) -> Self {
        Self {
            endings: Endings::new(proc_root, metrics.clone(), sampling),
            metrics,
            followed: FxHashMap::default(),
            given_up: FxHashSet::default(),
            found: Found::default(),
            not_followed: 0,
            own_pid: std::process::id(),
        }
    }

    /// Takes in a record.
    pub fn take(&mut self, call: &SocketCall<'_>) {
        let direction = match call.event {
            SocketEvent::Sent => Direction::Sent,
            SocketEvent::Received => Direction::Received,
            SocketEvent::Closed => return self.close(call),
        };
        // What the agent itself sends about requests is none to tell of: it would never end.
        if call.pid == self.own_pid || self.given_up.contains(&call.socket) {
            return;
        }
        if self.followed.len() >= MAX_CONNECTIONS && !self.followed.contains_key(&call.socket) {
            self.not_followed += 1;
            return;
        }
        let followed = self.followed.entry(call.socket).or_insert_with(|| Followed::new(call));
        followed.last_ns = call.boot_ns;
        if call.sequence != 0 {
            let origin = call.sequence.wrapping_sub(low(call.position));
            followed.ends.origins[direction as usize] = origin;
        }
        // Who works with it last owns it: it may have been handed on.
        (followed.pid, followed.comm) = (call.pid, call.comm);
        if call.length == 0 {
            // The other end has no more to say: a server may still answer, a client has its answer.
            if followed.connection.side() != Some(Side::Client) {
                return;
            }
            let close = Close { boot_ns: call.boot_ns, by: Closer::Peer, reset: false };
            followed.connection.close(close, &mut self.found);
            self.finish(call.socket);
            return;
        }
        let chunk = Chunk {
            direction,
            position: call.position,
            length: call.length,
            captured: call.captured,
            ends_chunked: call.ends_chunked,
            boot_ns: call.boot_ns,
            arrived_ns: 0,
            tid: call.tid,
            may_wait: call.may_wait,
        };
        followed.connection.chunk(&chunk, &mut self.found);
        followed.begin(&mut self.endings);
        let over = matches!(followed.connection.verdict(), Verdict::GaveUp(_) | Verdict::Upgraded);
        if over && self.given_up.len() < MAX_CONNECTIONS {
            self.given_up.insert(call.socket);
        }
        self.tell(call.socket);
        if over {
            self.followed.remove(&call.socket);
        }
    }

    fn close(&mut self, call: &SocketCall<'_>) {
        self.given_up.remove(&call.socket);
        let Some(followed) = self.followed.get_mut(&call.socket) else { return };
        let close = Close { boot_ns: call.boot_ns, by: Closer::Unknown, reset: false };
        followed.connection.close(close, &mut self.found);
        self.finish(call.socket);
    }

    fn finish(&mut self, socket: u64) {
        self.tell(socket);
        self.followed.remove(&socket);
    }

    /// Counts what a connection has given.
    fn tell(&mut self, socket: u64) {
        if self.found.exchanges.is_empty() {
            return;
        }
        let Some(followed) = self.followed.get_mut(&socket) else { return };
        let process = self.endings.process(followed.pid, followed.comm, followed.last_ns);
        for exchange in self.found.exchanges.drain(..) {
            let node = match followed.node(exchange.request.number) {
                Some(node) => node,
                // It came with its response.
                None => self.endings.begin(
                    exchange.side,
                    &exchange.request,
                    followed.ends,
                    &process.identity.service,
                ),
            };
            let process = Arc::clone(&process);
            self.endings.end(Ended { exchange, node, process, ends: followed.ends });
        }
    }

    /// Ends what has waited too long, and counts what was not understood. To be called every second
    /// or so.
    pub fn tick(&mut self, now_ns: u64) {
        let waiting: Vec<u64> = self
            .followed
            .iter()
            .filter(|(_, followed)| now_ns.saturating_sub(followed.last_ns) >= PATIENCE.unmarked_ns)
            .map(|(socket, _)| *socket)
            .collect();
        for socket in waiting {
            if let Some(followed) = self.followed.get_mut(&socket) {
                followed.connection.expire(now_ns, PATIENCE, &mut self.found);
                let idle = now_ns.saturating_sub(followed.last_ns) >= IDLE_NS;
                self.tell(socket);
                if idle {
                    self.followed.remove(&socket);
                }
            }
        }
        if self.given_up.len() >= MAX_CONNECTIONS {
            self.given_up.clear();
        }
        self.endings.tick(now_ns);
        self.metrics.count(&std::mem::take(&mut self.found.counts));
        self.metrics.lose(DropReason::TooManyConnections, std::mem::take(&mut self.not_followed));
        self.metrics.expire(now_ns);
        self.metrics.connections.set(i64::try_from(self.followed.len()).unwrap_or(i64::MAX));
        self.set_active();
    }

    /// Counts all that has ended: nothing comes after it.
    pub fn end(&mut self, now_ns: u64) {
        self.tick(now_ns);
        self.endings.finish();
    }

    /// Spans that are known whole since the last call.
    pub fn take_spans(&mut self) -> Vec<Span> {
        self.endings.take_spans()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.followed.is_empty()
    }

    fn set_active(&self) {
        let mut active: FxHashMap<(Arc<str>, &'static str), u64> = FxHashMap::default();
        let servers =
            self.followed.values().filter(|one| one.connection.side() == Some(Side::Server));
        for followed in servers {
            let Some(process) = self.endings.known(followed.pid) else { continue };
            for request in followed.connection.in_flight() {
                let service = Arc::clone(&process.identity.service);
                *active.entry((service, method_of(request.method()))).or_default() += 1;
            }
        }
        self.metrics.set_active(active.into_iter().collect());
    }
}

impl Followed {
    fn new(call: &SocketCall<'_>) -> Self {
        // One whose first byte this is was opened before it.
        let opened_ns = if call.position == 0 { call.boot_ns } else { 0 };
        Self {
            connection: Connection::new(opened_ns),
            pid: call.pid,
            comm: call.comm,
            ends: Ends { local: call.local, peer: call.peer, origins: [0; 2] },
            nodes: VecDeque::new(),
            begun: 0,
            last_ns: 0,
        }
    }

    /// Gives requests that have begun their places.
    fn begin(&mut self, endings: &mut Endings) {
        let begun = self.connection.requests();
        if begun == self.begun {
            return;
        }
        let side = self.connection.side().unwrap_or(Side::Server);
        let process = endings.process(self.pid, self.comm, self.last_ns);
        for request in self.connection.since(self.begun) {
            let node = endings.begin(side, request, self.ends, &process.identity.service);
            self.nodes.push_back((request.number, node));
        }
        self.begun = begun;
    }

    /// The place of a request that has ended; they end in their order.
    fn node(&mut self, number: u64) -> Option<Rc<Node>> {
        while let Some((first, node)) = self.nodes.pop_front() {
            if first == number {
                return Some(node);
            }
            if first > number {
                self.nodes.push_front((first, node));
                return None;
            }
        }
        None
    }
}
