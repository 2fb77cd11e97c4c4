//! The connections of this host that speak HTTP: each record goes to its own, and what comes out is
//! named and counted.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};
use sonde_ebpf::{DropReason, socket::SocketEvent};

use super::{RequestMetrics, Spoken};
use crate::{
    http::{Chunk, Close, Closer, Connection, Direction, Exchange, Found, Patience, Side, Verdict},
    process::Identity,
    record::SocketCall,
};

/// Connections followed at a time; calls on further ones are counted.
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
        self.metrics.lose(DropReason::TooManyConnections, std::mem::take(&mut self.not_followed));
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

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    /// Connections whose processes are all gone: names come from threads.
    struct Watched {
        connections: Connections,
        registry: Registry,
        _proc_root: tempfile::TempDir,
    }

    impl Watched {
        fn new() -> Self {
            let proc_root = tempfile::tempdir().expect("a directory");
            let (metrics, mut registry) = (RequestMetrics::default(), Registry::default());
            metrics.register(&mut registry);
            let connections = Connections::new(proc_root.path().into(), metrics);
            Self { connections, registry, _proc_root: proc_root }
        }

        fn call(&mut self, socket: u64, event: SocketEvent, position: u64, bytes: &[u8]) {
            let mut comm = [0; 16];
            comm[..4].copy_from_slice(b"shop");
            self.connections.take(&SocketCall {
                socket,
                event,
                boot_ns: 1_000_000_000 + position,
                position,
                length: bytes.len() as u64,
                pid: 5,
                tid: 5,
                local: None,
                peer: "10.0.0.9:8080".parse().ok(),
                ends_chunked: false,
                has_no_payload: false,
                comm,
                captured: bytes,
            });
        }

        /// Lines of the metrics that hold this.
        fn lines(&self, wanted: &str) -> Vec<String> {
            let mut text = String::new();
            encode(&mut text, &self.registry).expect("written");
            let lines = text.lines().filter(|line| line.contains(wanted) && !line.starts_with('#'));
            lines.map(str::to_owned).collect()
        }
    }

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    #[test]
    fn a_server_s_request_counts_once_under_its_route_and_the_thread_s_name() {
        let mut watched = Watched::new();
        let asked = b"GET /users/42?token=secret HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n";
        watched.call(1, SocketEvent::Received, 0, asked);
        watched.call(1, SocketEvent::Sent, 0, ANSWER);
        let expected = "http_server_request_duration_seconds_count{service_name=\"shop\",\
             http_request_method=\"GET\",http_route=\"/users/{id}\",\
             http_response_status_code=\"200\",url_scheme=\"http\"} 1";
        assert_eq!(watched.lines("server_request_duration_seconds_count"), [expected]);
        assert_eq!(watched.lines("secret"), [] as [&str; 0]);
    }

    #[test]
    fn a_client_s_request_has_its_server_and_its_error() {
        let mut watched = Watched::new();
        watched.call(1, SocketEvent::Sent, 0, b"GET /a HTTP/1.1\r\nHost: api.example:81\r\n\r\n");
        let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        watched.call(1, SocketEvent::Received, 0, missing);
        let expected = "http_client_request_duration_seconds_count{service_name=\"shop\",\
             http_request_method=\"GET\",http_response_status_code=\"404\",error_type=\"404\",\
             server_address=\"api.example\",server_port=\"81\"} 1";
        assert_eq!(watched.lines("client_request_duration_seconds_count"), [expected]);
    }

    #[test]
    fn requests_under_way_are_a_gauge_and_a_closed_connection_ends_them() {
        let mut watched = Watched::new();
        watched.call(1, SocketEvent::Received, 0, b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        watched.connections.tick(2_000_000_000);
        assert_eq!(
            watched.lines("active_requests"),
            ["http_server_active_requests{service_name=\"shop\",url_scheme=\"http\"} 1"]
        );
        watched.call(1, SocketEvent::Closed, 0, b"");
        watched.connections.tick(3_000_000_000);
        assert_eq!(watched.lines("active_requests"), [] as [&str; 0]);
        let ended = watched.lines("request_duration_seconds_count");
        assert!(ended.len() == 1 && ended[0].contains("error_type=\"no_response\""), "{ended:?}");
        assert!(watched.connections.followed.is_empty());
    }

    #[test]
    fn what_turns_out_to_be_something_else_is_left_alone() {
        let mut watched = Watched::new();
        watched.call(1, SocketEvent::Received, 0, b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n");
        assert!(watched.connections.followed.is_empty());
        watched.call(1, SocketEvent::Received, 40, b"GET / HTTP/1.1\r\n\r\n");
        assert!(watched.connections.followed.is_empty());
        watched.connections.tick(2_000_000_000);
        let given_up = "sonde_agent_http_losses_total{reason=\"bad_length\"} 1";
        assert!(watched.lines("losses").contains(&given_up.to_owned()));
    }
}
