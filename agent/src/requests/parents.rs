//! Which request led to which: by what its head says, by the thread that serves one and sends another,
//! and by the connection whose two ends are on this host.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use rustc_hash::{FxHashMap, FxHashSet};

use super::context::Context;
use super::node::{Node, Parent, Root, Trace};
use crate::http::{Direction, Request, Side};

/// Exchanges whose other end is waited for at a time.
const MAX_PLACES: usize = 100_000;
/// Addresses of this host that are remembered.
const MAX_ADDRESSES: usize = 1024;
/// How long the client of a request may be told of after its server: it has sent it, and has not
/// returned from that yet.
const LATE_NS: u64 = 500_000_000;

/// What is known of the exchanges that are under way on this host.
#[derive(Default)]
pub(super) struct Parents {
    /// What each thread serves that serves one connection at a time.
    serving: FxHashMap<u32, Vec<Rc<Node>>>,
    clients: FxHashMap<Place, Rc<Node>>,
    servers: FxHashMap<Place, Rc<Node>>,
    /// Of this host, as its sockets say.
    addresses: FxHashSet<IpAddr>,
}

/// A request's place, which both ends of its connection agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    client: SocketAddr,
    server: SocketAddr,
    sequence: u32,
}

/// Addresses of a connection, this end's first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    pub(super) local: Option<SocketAddr>,
    pub(super) peer: Option<SocketAddr>,
    /// TCP's sequence numbers where this end began to count what it sent, and what it received.
    pub(super) origins: [u32; 2],
}

impl Place {
    fn of(side: Side, ends: Ends, request: &Request) -> Option<Self> {
        let (local, peer) = (ends.local?, ends.peer?);
        let (client, server, direction) = match side {
            Side::Client => (local, peer, Direction::Sent),
            Side::Server => (peer, local, Direction::Received),
        };
        let sequence =
            ends.origins[direction as usize].wrapping_add(low(request.transfer.position));
        Some(Self { client, server, sequence })
    }
}

/// Sequence numbers go round.
#[expect(clippy::cast_possible_truncation, reason = "that is what is wanted")]
pub(super) const fn low(position: u64) -> u32 {
    position as u32
}

impl Parents {
    /// A request has begun.
    pub(super) fn begin(
        &mut self,
        side: Side,
        request: &Request,
        ends: Ends,
        service: &Arc<str>,
    ) -> Rc<Node> {
        let context = Context::of(request);
        let place = Place::of(side, ends, request);
        if let Some(local) = ends.local.filter(|_| self.addresses.len() < MAX_ADDRESSES) {
            self.addresses.insert(local.ip());
        }
        let node = match (context.ids, side) {
            (Some((trace, span)), _) => {
                let parent = Some(Parent { span_id: span, is_remote: true });
                new_node(service, Trace::new(Root::known(trace, context.sampled)), parent)
            }
            (None, Side::Client) => match self.served_by(request.transfer.tid) {
                Some(served) => {
                    let parent = Some(Parent { span_id: served.span_id, is_remote: false });
                    new_node(service, Rc::clone(&served.trace), parent)
                }
                None => new_node(service, new_trace(context.sampled, 0), None),
            },
            (None, Side::Server) => {
                let here = ends.peer.is_some_and(|peer| self.is_here(peer.ip()));
                let until_ns = if here { request.transfer.first_ns + LATE_NS } else { 0 };
                let trace = new_trace(context.sampled, until_ns);
                new_node(service, trace, None)
            }
        };
        match side {
            Side::Server => self.begin_server(&node, request, place, context.ids.is_some()),
            Side::Client => self.begin_client(&node, place),
        }
        node
    }

    fn begin_server(
        &mut self,
        node: &Rc<Node>,
        request: &Request,
        place: Option<Place>,
        told: bool,
    ) {
        if request.transfer.may_wait {
            self.serving.entry(request.transfer.tid).or_default().push(Rc::clone(node));
        }
        let Some(place) = place else { return };
        if let Some(client) = self.clients.get(&place) {
            meet(client, node, told);
        } else if self.servers.len() < MAX_PLACES {
            self.servers.insert(place, Rc::clone(node));
        }
    }

    fn begin_client(&mut self, node: &Rc<Node>, place: Option<Place>) {
        let Some(place) = place else { return };
        if let Some(server) = self.servers.remove(&place) {
            // Its head was the same, so what it says was found there too.
            meet(node, &server, server.parent.get().is_some());
        }
        if self.clients.len() < MAX_PLACES {
            self.clients.insert(place, Rc::clone(node));
        }
    }

    /// Nothing more of it is expected. What a client may still turn up for is kept until
    /// [`Parents::forget`].
    pub(super) fn end(&mut self, side: Side, request: &Request, ends: Ends, node: &Rc<Node>) {
        match side {
            Side::Client => {
                if let Some(place) = Place::of(side, ends, request) {
                    self.clients.remove(&place);
                }
            }
            Side::Server => {
                let tid = request.transfer.tid;
                if let Some(served) = self.serving.get_mut(&tid) {
                    served.retain(|one| !Rc::ptr_eq(one, node));
                    if served.is_empty() {
                        self.serving.remove(&tid);
                    }
                }
            }
        }
    }

    /// No client will turn up for it any more.
    pub(super) fn forget(&mut self, request: &Request, ends: Ends) {
        if let Some(place) = Place::of(Side::Server, ends, request) {
            self.servers.remove(&place);
        }
    }

    /// The one request that a thread serves. One that serves several at a time may send for any.
    fn served_by(&self, tid: u32) -> Option<Rc<Node>> {
        match self.serving.get(&tid)?.as_slice() {
            [one] => Some(Rc::clone(one)),
            _ => None,
        }
    }

    fn is_here(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses.contains(&address)
    }
}

/// A trace that nobody else has begun, as far as is known now.
fn new_trace(sampled: Option<bool>, open_until_ns: u64) -> Rc<Trace> {
    let id = RandomIdGenerator::default().new_trace_id();
    Trace::new(Root { open_until_ns, ..Root::known(id, sampled) })
}

fn new_node(service: &Arc<str>, trace: Rc<Trace>, parent: Option<Parent>) -> Rc<Node> {
    Rc::new(Node {
        span_id: RandomIdGenerator::default().new_span_id(),
        service: Arc::clone(service),
        trace,
        parent: Cell::new(parent),
        other_end: RefCell::default(),
    })
}

/// Two ends of one exchange. `told`: the request's own head says where the server's part belongs.
fn meet(client: &Rc<Node>, server: &Rc<Node>, told: bool) {
    client.other_end.replace(Some(Arc::clone(&server.service)));
    server.other_end.replace(Some(Arc::clone(&client.service)));
    if !told {
        server.parent.set(Some(Parent { span_id: client.span_id, is_remote: true }));
        server.trace.join(&client.trace);
    }
}
