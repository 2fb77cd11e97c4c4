//! The merged tree: one node for each distinct chain of functions, in arrays, children after their
//! parent and largest first. No node is an object, so a million of them are a few arrays.
//!
//! ```text
//! node      0 all   1 main   2 serve   3 read   4 idle      depth-first order
//! end       5       5        4         4        5           subtree of i = i..end[i]
//! ```

mod merge;
mod names;
mod order;

use std::sync::Arc;

use super::kind::{Kind, SERVICE};
use super::node_id::NodeId;
use crate::store::{ServiceStacks, StackId, SymbolsView};

use merge::Walk;
pub(super) use merge::{Call, Merge};
pub use names::keep_under;

/// A function of a binary: what one box stands for, wherever in the tree it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFrame {
    /// Function name for people.
    pub name: Arc<str>,
    /// Base name of the binary; empty where there is none.
    pub binary: Arc<str>,
    /// What kind of code it is.
    pub kind: Kind,
}

/// Index of [`Tree::frames`] that node 0 has: it is no function.
pub(super) const NO_FRAME: u32 = u32::MAX;
/// Index of [`Tree::files`] for "unknown".
const NO_FILE: u32 = 0;

/// A merged tree. All columns are as long as there are nodes; node 0 is `all`.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Functions that nodes name.
    pub frames: Vec<TreeFrame>,
    /// Source files that nodes name; the first is empty.
    pub files: Vec<Arc<str>>,
    pub(super) frame: Vec<u32>,
    pub(super) file: Vec<u32>,
    pub(super) line: Vec<u32>,
    pub(super) depth: Vec<u32>,
    pub(super) parent: Vec<u32>,
    /// First node that is not in the subtree.
    pub(super) end: Vec<u32>,
    pub(super) own: Vec<i64>,
    pub(super) total: Vec<i64>,
    pub(super) id: Vec<u64>,
}

impl Tree {
    /// Merges stacks. A node's source line is that of the heaviest stack through it.
    #[must_use]
    pub fn build(stacks: &[(StackId, i64)], symbols: &SymbolsView) -> Self {
        let mut merge = Merge::new();
        Walk::new(symbols).add_all(stacks, None, &mut merge);
        merge.finish()
    }

    /// As [`Tree::build`], with a frame for each service between `all` and its stacks.
    #[must_use]
    pub fn build_by_service(services: &[ServiceStacks], symbols: &SymbolsView) -> Self {
        let mut merge = Merge::new();
        let mut walk = Walk::new(symbols);
        for ServiceStacks { service, stacks } in services {
            let frame = merge.frame(service, &Arc::from(SERVICE));
            let call = Call { frame, file: NO_FILE, line: 0 };
            walk.add_all(stacks, Some(call), &mut merge);
        }
        merge.finish()
    }

    /// Number of nodes, `all` included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.total.len()
    }

    /// True if there is nothing below `all`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() <= 1
    }

    /// Sum of everything.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.total.first().copied().unwrap_or(0)
    }

    /// The node of this id.
    #[must_use]
    pub fn find(&self, id: NodeId) -> Option<usize> {
        self.id.iter().position(|&known| known == id.0)
    }

    /// Id of a node.
    #[must_use]
    pub fn id(&self, node: usize) -> NodeId {
        NodeId(self.id[node])
    }

    /// Function of a node; `None` for `all`.
    #[must_use]
    pub fn frame(&self, node: usize) -> Option<&TreeFrame> {
        self.frames.get(self.frame[node] as usize)
    }

    /// Source file and line of a node; empty and 0 where unknown.
    #[must_use]
    pub fn source(&self, node: usize) -> (&str, u32) {
        (self.files.get(self.file[node] as usize).map_or("", |file| file), self.line[node])
    }

    /// What was measured in the node itself and with everything below it.
    #[must_use]
    pub fn values(&self, node: usize) -> (i64, i64) {
        (self.own[node], self.total[node])
    }

    /// The nodes from `all` down to `node`, both included.
    #[must_use]
    pub fn path(&self, node: usize) -> Vec<usize> {
        let mut path = vec![node];
        let mut at = node;
        while at != 0 {
            at = self.parent[at] as usize;
            path.push(at);
        }
        path.reverse();
        path
    }

    /// Children of a node, largest first.
    pub(super) fn children(&self, node: usize) -> impl Iterator<Item = usize> {
        let end = self.end[node] as usize;
        let first = (node + 1 < end).then_some(node + 1);
        std::iter::successors(first, move |&child| {
            let next = self.end[child] as usize;
            (next < end).then_some(next)
        })
    }

    /// A flat tree of so many nodes, to fill memory with.
    #[cfg(test)]
    pub(crate) fn of_size(nodes: usize) -> Self {
        let indices = || vec![0; nodes];
        let values = || vec![1; nodes];
        Self {
            frame: indices(),
            file: indices(),
            line: indices(),
            depth: indices(),
            parent: indices(),
            end: indices(),
            own: values(),
            total: values(),
            id: vec![0; nodes],
            ..Self::default()
        }
    }

    /// Memory it takes, about, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let names = |names: usize| names * 96;
        self.len() * (6 * 4 + 3 * 8) + names(self.frames.len()) + names(self.files.len())
    }
}

/// Id of the frame of a service in a tree that has one for each.
#[must_use]
pub fn service_id(service: &str) -> NodeId {
    NodeId::ALL.child(service, SERVICE)
}

/// A stack's function names, outermost first.
#[must_use]
pub fn names_of(stack: StackId, symbols: &SymbolsView) -> Vec<&str> {
    let mut frames = Vec::new();
    symbols.frames(stack, &mut frames);
    frames.iter().filter_map(|&frame| symbols.frame(frame)).map(|frame| &*frame.name).collect()
}

fn index(len: usize) -> u32 {
    u32::try_from(len).expect("a tree of 2^32 nodes does not fit into memory")
}
