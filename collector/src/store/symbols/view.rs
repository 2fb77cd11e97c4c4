//! The reading side of the symbols: from a stack's hash to the names of its frames, without I/O.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{
    Chunked, FrameId, FrameName, Function, FunctionId, LocationId, Series, SeriesId, StackId,
    StackNode, SymbolLocation,
};

const SHARDS: usize = 256;

/// A node of the stack tree: a location and its caller. A stack is the node of its leaf, so stacks
/// that share their outer frames share nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// Index of the caller's node; [`ROOT`] at the outermost frame.
    pub(super) parent: u32,
    pub(super) location: LocationId,
}

/// Parent of outermost frames, and the stack without frames.
pub(super) const ROOT: u32 = u32::MAX;

/// Tables that readers see. A clone is cheap and does not change any more.
#[derive(Clone, Debug)]
pub(in crate::store) struct Symbols {
    pub(super) functions: Chunked<Function>,
    pub(super) frames: Chunked<FrameName>,
    pub(super) locations: Chunked<SymbolLocation>,
    pub(super) nodes: Chunked<Node>,
    pub(super) stacks: StackShards,
    pub(super) series: Chunked<Arc<Series>>,
    pub(super) series_by_id: Arc<FxHashMap<SeriesId, u32>>,
}

impl Default for Symbols {
    fn default() -> Self {
        let mut frames = Chunked::default();
        // Frame 0 stands for stacks whose symbols are lost (a damaged symbol file).
        frames.push(FrameName { name: Arc::from("[stack lost]"), binary: Arc::from("") });
        Self {
            functions: Chunked::default(),
            frames,
            locations: Chunked::default(),
            nodes: Chunked::default(),
            stacks: StackShards::default(),
            series: Chunked::default(),
            series_by_id: Arc::default(),
        }
    }
}

impl Symbols {
    pub(in crate::store) fn has_stack(&self, hash: u64) -> bool {
        self.stacks.get(hash).is_some()
    }

    pub(in crate::store) fn has_series(&self, id: u64) -> bool {
        self.series_by_id.contains_key(&SeriesId(id))
    }

    pub(in crate::store) fn series_by_id(&self, id: SeriesId) -> Option<&Arc<Series>> {
        self.series.get(*self.series_by_id.get(&id)? as usize)
    }

    pub(in crate::store) fn series(&self) -> impl Iterator<Item = &Arc<Series>> {
        self.series.iter()
    }
}

/// Stack hash to leaf node, in shards so that a write after a clone copies little.
#[derive(Clone, Debug)]
pub(super) struct StackShards(Arc<Vec<Arc<FxHashMap<u64, u32>>>>);

impl Default for StackShards {
    fn default() -> Self {
        Self(Arc::new(vec![Arc::default(); SHARDS]))
    }
}

impl StackShards {
    fn shard(hash: u64) -> usize {
        usize::from(hash.to_le_bytes()[7])
    }

    pub(super) fn get(&self, hash: u64) -> Option<u32> {
        self.0[Self::shard(hash)].get(&hash).copied()
    }

    pub(super) fn insert(&mut self, hash: u64, node: u32) {
        let shards = Arc::make_mut(&mut self.0);
        Arc::make_mut(&mut shards[Self::shard(hash)]).insert(hash, node);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u32)> {
        self.0.iter().flat_map(|shard| shard.iter().map(|(&hash, &node)| (hash, node)))
    }
}

/// The symbols as they were at one moment. Cheap to take and to clone; whatever a query answered
/// before it was taken can be resolved with it.
#[derive(Clone, Debug)]
pub struct SymbolsView(pub(in crate::store) Arc<Symbols>);

impl SymbolsView {
    /// Replaces `out` by the frames of a stack, outermost first, inlined functions expanded. A
    /// stack whose symbols are lost gets one frame that says so.
    pub fn frames(&self, stack: StackId, out: &mut Vec<FrameId>) {
        out.clear();
        let Some(leaf) = self.0.stacks.get(stack.0) else {
            out.push(FrameId(0));
            return;
        };
        self.walk(leaf, |location| out.extend(location.1.lines.iter().map(|line| line.frame)));
        out.reverse();
    }

    /// Replaces `out` by the locations of a stack, leaf first. Empty if its symbols are lost.
    pub fn locations(&self, stack: StackId, out: &mut Vec<LocationId>) {
        out.clear();
        if let Some(leaf) = self.0.stacks.get(stack.0) {
            self.walk(leaf, |location| out.push(location.0));
        }
    }

    /// The node of a stack's leaf; `None` if its symbols are lost or it has no frames.
    #[must_use]
    pub fn leaf(&self, stack: StackId) -> Option<StackNode> {
        self.0.stacks.get(stack.0).filter(|&node| node != ROOT).map(StackNode)
    }

    /// A node's location and its caller's node. `None` only for nodes of another view.
    #[must_use]
    pub fn node(&self, node: StackNode) -> Option<(LocationId, Option<StackNode>)> {
        let Node { parent, location } = self.0.nodes.get(node.0 as usize)?;
        Some((*location, (*parent != ROOT).then_some(StackNode(*parent))))
    }

    /// How many nodes there are: every [`StackNode`] is below this, and above its caller's.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.0.nodes.len()
    }

    fn walk(&self, leaf: u32, mut visit: impl FnMut((LocationId, &SymbolLocation))) {
        let mut at = leaf;
        while let Some(node) = self.0.nodes.get(at as usize) {
            if let Some(location) = self.0.locations.get(node.location.0 as usize) {
                visit((node.location, location));
            }
            at = node.parent;
        }
    }

    /// How many frames there are: every [`FrameId`] is below this.
    #[must_use]
    pub fn frame_count(&self) -> usize {
        self.0.frames.len()
    }

    /// Name and binary of a frame. `None` only for ids of another view.
    #[must_use]
    pub fn frame(&self, id: FrameId) -> Option<&FrameName> {
        self.0.frames.get(id.0 as usize)
    }

    /// A function. `None` only for ids of another view.
    #[must_use]
    pub fn function(&self, id: FunctionId) -> Option<&Function> {
        self.0.functions.get(id.0 as usize)
    }

    /// A location. `None` only for ids of another view.
    #[must_use]
    pub fn location(&self, id: LocationId) -> Option<&SymbolLocation> {
        self.0.locations.get(id.0 as usize)
    }

    /// A series that some stored sample may belong to.
    #[must_use]
    pub fn series(&self, id: SeriesId) -> Option<&Arc<Series>> {
        self.0.series_by_id(id)
    }
}
