//! The connections of this host that speak HTTP: each record goes to its own, and what comes out is
//! named and counted.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};
use sonde_ebpf::socket::SocketEvent;

use super::{RequestMetrics, Spoken};
use crate::{
    http::{Chunk, Close, Closer, Connection, Direction, Exchange, Found, Patience, Side, Verdict},
    process::Identity,
    record::SocketCall,
};

/// Connections followed at a time; further ones are counted as not followed.
const MAX_CONNECTIONS: usize = 100_000;
/// A connection without a byte in so long is forgotten: sockets of the Unix domain do not say when
/// they are closed.
const IDLE_NS: u64 = 10 * 60 * 1_000_000_000;
/// How long a name found in `/proc` holds.
const NAME_NS: u64 = 60 * 1_000_000_000;
const PATIENCE: Patience =
    Patience { unmarked_ns: 5_000_000_000, exchange_ns: 300 * 1_000_000_000 };

/// All of them.
pub struct Connections {
    proc_root: PathBuf,
    metrics: RequestMetrics,
    followed: FxHashMap<u64, Followed>,
    /// Sockets that were given up: their records mean nothing any more.
    given_up: FxHashSet<u64>,
    names: FxHashMap<u32, Name>,
    found: Found,
    not_followed: u64,
}

struct Followed {
    connection: Connection,
    pid: u32,
    peer: Option<SocketAddr>,
    last_ns: u64,
}

struct Name {
    service: Arc<str>,
    until_ns: u64,
}

impl Connections {
    /// None yet. Processes are named by what `proc_root` tells.
    #[must_use]
    pub fn new(proc_root: PathBuf, metrics: RequestMetrics) -> Self {
        Self {
            proc_root,
            metrics,
            followed: FxHashMap::default(),
            given_up: FxHashSet::default(),
            names: FxHashMap::default(),
            found: Found::default(),
            not_followed: 0,
        }
    }

    /// Takes in a record.
    pub fn take(&mut self, call: &SocketCall<'_>) {
        let direction = match call.event {
            SocketEvent::Sent => Direction::Sent,
            SocketEvent::Received => Direction::Received,
            SocketEvent::Closed => return self.close(call),
        };
        if self.given_up.contains(&call.socket) {
            return;
        }
        if self.followed.len() >= MAX_CONNECTIONS && !self.followed.contains_key(&call.socket) {
            self.not_followed += 1;
            return;
        }
        let followed = self.followed.entry(call.socket).or_insert_with(|| {
            // One whose first byte this is was opened before it.
            let opened_ns = if call.position == 0 { call.boot_ns } else { 0 };
            let connection = Connection::new(opened_ns);
            Followed { connection, pid: call.pid, peer: call.peer, last_ns: 0 }
        });
        followed.last_ns = call.boot_ns;
        // Who works with it last owns it: it may have been handed on.
        followed.pid = call.pid;
        let seen = |name: &Name| call.boot_ns < name.until_ns;
        if !self.names.get(&call.pid).is_some_and(seen) {
            self.name(call);
        }
        let Some(followed) = self.followed.get_mut(&call.socket) else { return };
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
        };
        followed.connection.chunk(&chunk, &mut self.found);
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
        let Some(followed) = self.followed.get(&socket) else { return };
        let (pid, peer) = (followed.pid, followed.peer);
        let service = self.names.get(&pid).map(|name| Arc::clone(&name.service));
        let service = service.unwrap_or_else(|| "unknown".into());
        for exchange in std::mem::take(&mut self.found.exchanges) {
            let server = (exchange.side == Side::Client).then(|| server_of(&exchange, peer));
            let spoken = Spoken { service: Arc::clone(&service), server: server.flatten() };
            self.metrics.add(&exchange, &spoken);
        }
    }

    /// Finds out whose calls these are, while the process is there. One that is gone keeps the name
    /// that it had, or has that of its thread.
    fn name(&mut self, call: &SocketCall<'_>) {
        let known = || self.names.get(&call.pid).map(|name| Arc::clone(&name.service));
        let service = Identity::of_process(&self.proc_root, call.pid)
            .map(|identity| identity.service)
            .or_else(known)
            .unwrap_or_else(|| Identity::of_thread(call.comm).service);
        let until_ns = call.boot_ns + NAME_NS;
        self.names.insert(call.pid, Name { service, until_ns });
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
        self.names.retain(|_, name| now_ns < name.until_ns + NAME_NS);
        self.metrics.count(&std::mem::take(&mut self.found.counts));
        self.metrics.lose("too_many_connections", std::mem::take(&mut self.not_followed));
        self.metrics.expire(now_ns);
        self.metrics.connections.set(i64::try_from(self.followed.len()).unwrap_or(i64::MAX));
        self.set_active();
    }

    fn set_active(&mut self) {
        let mut active: FxHashMap<u32, i64> = FxHashMap::default();
        for followed in self.followed.values() {
            if followed.connection.side() == Some(Side::Server) {
                let count = followed.connection.in_flight().count();
                *active.entry(followed.pid).or_default() += i64::try_from(count).unwrap_or(0);
            }
        }
        let mut by_service: FxHashMap<Arc<str>, i64> = FxHashMap::default();
        for (pid, count) in active {
            if let Some(name) = self.names.get(&pid) {
                *by_service.entry(Arc::clone(&name.service)).or_default() += count;
            }
        }
        self.metrics.active.clear();
        for (service, count) in by_service {
            let labels = vec![("service_name", service.to_string()), ("url_scheme", "http".into())];
            self.metrics.active.get_or_create(&labels).set(count);
        }
    }
}

/// The server that a client asked for, without its name's trailing port.
fn server_of(exchange: &Exchange, peer: Option<SocketAddr>) -> Option<(Arc<str>, u16)> {
    let port = peer.map_or(0, |peer| peer.port());
    let host = exchange.request.host().map(|host| {
        let (name, stated) = host.rsplit_once(':').unwrap_or((host, ""));
        stated.parse().map_or((host, port), |port: u16| (name, port))
    });
    match (host, peer) {
        (Some((host, port)), _) if host.len() <= 128 => Some((host.into(), port)),
        (_, Some(peer)) => Some((peer.ip().to_string().into(), peer.port())),
        _ => None,
    }
}
