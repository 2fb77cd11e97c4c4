//! Which service asks which: pairs of services, as Tempo's service graphs have them.

use std::sync::Arc;

use super::key::Key;
use super::node::Node;
use super::series::Grouped;

/// What Tempo calls an edge one of whose ends sends no spans.
pub(super) const VIRTUAL: &str = "virtual_node";

/// One service that asks another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Edge {
    pub(super) client: Arc<str>,
    /// A service of this host, or the name by which another host was asked for.
    pub(super) server: Arc<str>,
    /// The server is known by its address alone.
    pub(super) is_virtual: bool,
}

impl Edge {
    /// Of an exchange at its client's end.
    pub(super) fn of_client(node: &Node, key: &Key) -> Option<Self> {
        let client = Arc::clone(&node.service);
        if let Some(server) = &*node.other_end.borrow() {
            return Some(Self { client, server: Arc::clone(server), is_virtual: false });
        }
        let (server, _) = key.spoken.server.as_ref()?;
        Some(Self { client, server: Arc::clone(server), is_virtual: true })
    }

    /// Of an exchange at its server's end, where the client is on this host too: others tell of it
    /// where they are.
    pub(super) fn of_server(node: &Node) -> Option<Self> {
        let client = node.other_end.borrow().as_ref().map(Arc::clone)?;
        Some(Self { client, server: Arc::clone(&node.service), is_virtual: false })
    }

    pub(super) fn labels(&self) -> [(&'static str, String); 3] {
        let kind = if self.is_virtual { VIRTUAL } else { "" };
        [
            ("client", self.client.to_string()),
            ("server", self.server.to_string()),
            ("connection_type", kind.to_owned()),
        ]
    }
}

impl Grouped for Edge {
    type Group = Arc<str>;

    fn group(&self) -> Arc<str> {
        Arc::clone(&self.client)
    }

    fn overflow(self) -> Self {
        Self { client: self.client, server: "".into(), is_virtual: true }
    }

    fn is_overflow(&self) -> bool {
        self.server.is_empty()
    }
}
