//! The merged tree: one node for each distinct chain of functions, in arrays, children after their
//! parent and largest first. No node is an object, so a million of them are a few arrays.
//!
//! ```text
//! node      0 all   1 main   2 serve   3 read   4 idle      depth-first order
//! end       5       5        4         4        5           subtree of i = i..end[i]
//! ```

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::kind::{Kind, SERVICE};
use super::node_id::NodeId;
use crate::store::{
    FrameId, FrameName, FunctionId, LocationId, ServiceStacks, StackId, SymbolsView,
};

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
        merge.add_all(stacks, None, &mut Names::new(symbols));
        merge.finish()
    }

    /// As [`Tree::build`], with a frame for each service between `all` and its stacks.
    #[must_use]
    pub fn build_by_service(services: &[ServiceStacks], symbols: &SymbolsView) -> Self {
        let mut merge = Merge::new();
        let mut names = Names::new(symbols);
        for ServiceStacks { service, stacks } in services {
            let frame = merge.frame(service, &Arc::from(SERVICE));
            let call = Call { frame, file: NO_FILE, line: 0 };
            merge.add_all(stacks, Some(call), &mut names);
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

    /// Memory it takes, about, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let names = |names: usize| names * 96;
        self.len() * (6 * 4 + 3 * 8) + names(self.frames.len()) + names(self.files.len())
    }
}

/// One step of a stack: function, source file, line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) frame: u32,
    pub(super) file: u32,
    pub(super) line: u32,
}

/// Stacks on their way into a tree. Sorted by their frames, stacks that share callers stand next to
/// each other, so nodes come in depth-first order without any look-up.
#[derive(Default)]
pub(super) struct Merge {
    frames: Vec<TreeFrame>,
    files: Vec<Arc<str>>,
    frame_at: FxHashMap<(Arc<str>, Arc<str>), u32>,
    file_at: FxHashMap<Arc<str>, u32>,
    /// Frames of all stacks, one after the other, outermost first.
    stack_frames: Vec<u32>,
    /// File and line of each of `stack_frames`.
    stack_sources: Vec<(u32, u32)>,
    stacks: Vec<Stack>,
}

/// A stack: a part of [`Merge::stack_frames`].
struct Stack {
    start: usize,
    end: usize,
    value: i64,
}

impl Merge {
    pub(super) fn new() -> Self {
        let mut merge = Self::default();
        merge.file(&Arc::from(""));
        merge
    }

    /// Index of a function. `binary` may be a path.
    pub(super) fn frame(&mut self, name: &Arc<str>, binary: &Arc<str>) -> u32 {
        let base = match binary.rsplit_once('/') {
            Some((_, base)) if !binary.starts_with('[') => Arc::from(base),
            _ => Arc::clone(binary),
        };
        let next = index(self.frames.len());
        let at = *self.frame_at.entry((Arc::clone(name), Arc::clone(&base))).or_insert(next);
        if at == next {
            let kind = Kind::of(name, &base);
            self.frames.push(TreeFrame { name: Arc::clone(name), binary: base, kind });
        }
        at
    }

    /// Index of a source file.
    pub(super) fn file(&mut self, file: &Arc<str>) -> u32 {
        let next = index(self.files.len());
        let at = *self.file_at.entry(Arc::clone(file)).or_insert(next);
        if at == next {
            self.files.push(Arc::clone(file));
        }
        at
    }

    /// Adds stacks under a frame that all of them have in common.
    fn add_all(&mut self, stacks: &[(StackId, i64)], under: Option<Call>, names: &mut Names<'_>) {
        let mut calls = Vec::new();
        let mut whole = Vec::new();
        for &(stack, value) in stacks {
            names.calls(stack, self, &mut calls);
            whole.clear();
            whole.extend(under);
            whole.extend_from_slice(&calls);
            self.add(&whole, value);
        }
    }

    /// Adds a stack, outermost call first.
    pub(super) fn add(&mut self, calls: &[Call], value: i64) {
        let start = self.stack_frames.len();
        self.stack_frames.extend(calls.iter().map(|call| call.frame));
        self.stack_sources.extend(calls.iter().map(|call| (call.file, call.line)));
        self.stacks.push(Stack { start, end: self.stack_frames.len(), value });
    }

    /// Builds the nodes, adds up, and puts children into order.
    pub(super) fn finish(mut self) -> Tree {
        let frames = &self.stack_frames;
        self.stacks.sort_unstable_by(|a, b| frames[a.start..a.end].cmp(&frames[b.start..b.end]));
        let mut growth = Growth::new();
        for stack in &self.stacks {
            let range = stack.start..stack.end;
            growth.add(&frames[range.clone()], &self.stack_sources[range], stack.value);
        }
        let mut tree = growth.tree;
        tree.frames = self.frames;
        tree.files = self.files;
        let mut total = tree.own.clone();
        for node in (1..total.len()).rev() {
            let parent = tree.parent[node] as usize;
            total[parent] = total[parent].saturating_add(total[node]);
        }
        DepthFirst::of(&tree, &total).arrange(tree, &total)
    }
}

/// The tree while stacks come in, sorted: parents before children.
struct Growth {
    tree: Tree,
    /// The largest value of one stack through each node, whose source line it has.
    heaviest: Vec<i64>,
    /// Nodes and frames of the stack before.
    path: Vec<u32>,
    path_frames: Vec<u32>,
}

impl Growth {
    fn new() -> Self {
        let mut growth = Self {
            tree: Tree::default(),
            heaviest: Vec::new(),
            path: Vec::new(),
            path_frames: Vec::new(),
        };
        growth.push(0, NO_FRAME, (NO_FILE, 0), 0);
        growth.path.push(0);
        growth
    }

    fn add(&mut self, frames: &[u32], sources: &[(u32, u32)], value: i64) {
        let same = self.path_frames.iter().zip(frames).take_while(|(a, b)| a == b).count();
        for (&node, &source) in self.path[1..=same].iter().zip(sources) {
            let node = node as usize;
            if value > self.heaviest[node] {
                self.heaviest[node] = value;
                (self.tree.file[node], self.tree.line[node]) = source;
            }
        }
        self.path.truncate(same + 1);
        self.path_frames.truncate(same);
        for (&frame, &source) in frames.iter().zip(sources).skip(same) {
            let parent = self.path[self.path.len() - 1];
            self.path.push(index(self.tree.frame.len()));
            self.path_frames.push(frame);
            self.push(parent, frame, source, value);
        }
        let own = &mut self.tree.own[self.path[self.path.len() - 1] as usize];
        *own = own.saturating_add(value);
    }

    fn push(&mut self, parent: u32, frame: u32, (file, line): (u32, u32), value: i64) {
        self.tree.frame.push(frame);
        self.tree.file.push(file);
        self.tree.line.push(line);
        self.tree.parent.push(parent);
        self.tree.own.push(0);
        self.heaviest.push(value);
    }
}

/// Old node indices in the new order, with what the order tells: depth and new parent.
struct DepthFirst {
    old: Vec<u32>,
    depth: Vec<u32>,
    parent: Vec<u32>,
}

impl DepthFirst {
    fn of(tree: &Tree, total: &[i64]) -> Self {
        let (starts, mut children) = children_of(&tree.parent);
        let rank = name_ranks(&tree.frames);
        let place = |child: &u32| {
            let child = *child as usize;
            (std::cmp::Reverse(total[child]), rank[tree.frame[child] as usize])
        };
        let nodes = tree.parent.len();
        for node in 0..nodes {
            let siblings = &mut children[starts[node]..starts[node + 1]];
            if siblings.len() > 1 {
                siblings.sort_unstable_by_key(place);
            }
        }
        let mut order = Self {
            old: Vec::with_capacity(nodes),
            depth: Vec::with_capacity(nodes),
            parent: Vec::with_capacity(nodes),
        };
        let mut waiting = vec![(0_u32, 0_u32, 0_u32)];
        while let Some((node, depth, parent)) = waiting.pop() {
            let at = index(order.old.len());
            order.old.push(node);
            order.depth.push(depth);
            order.parent.push(parent);
            let node = node as usize;
            let below = &children[starts[node]..starts[node + 1]];
            waiting.extend(below.iter().rev().map(|&child| (child, depth + 1, at)));
        }
        order
    }

    fn arrange(self, tree: Tree, total: &[i64]) -> Tree {
        let pick = |column: &[u32]| self.old.iter().map(|&old| column[old as usize]).collect();
        let sums = |column: &[i64]| self.old.iter().map(|&old| column[old as usize]).collect();
        let mut sorted = Tree {
            frames: tree.frames,
            files: tree.files,
            frame: pick(&tree.frame),
            file: pick(&tree.file),
            line: pick(&tree.line),
            own: sums(&tree.own),
            total: sums(total),
            end: ends(&self.parent),
            depth: self.depth,
            parent: self.parent,
            id: Vec::new(),
        };
        sorted.id = ids(&sorted);
        sorted
    }
}

/// Children of every node: `children[starts[n]..starts[n + 1]]`.
fn children_of(parents: &[u32]) -> (Vec<usize>, Vec<u32>) {
    let mut starts = vec![0; parents.len() + 1];
    for &parent in &parents[1..] {
        starts[parent as usize + 1] += 1;
    }
    for node in 0..parents.len() {
        starts[node + 1] += starts[node];
    }
    let mut next = starts.clone();
    let mut children = vec![0; parents.len() - 1];
    for (child, &parent) in parents.iter().enumerate().skip(1) {
        let at = &mut next[parent as usize];
        children[*at] = index(child);
        *at += 1;
    }
    (starts, children)
}

/// Place of every frame when all are sorted by name, then binary.
fn name_ranks(frames: &[TreeFrame]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..index(frames.len())).collect();
    order.sort_unstable_by_key(|&at| {
        let frame = &frames[at as usize];
        (&frame.name, &frame.binary)
    });
    let mut ranks = vec![0; frames.len()];
    for (rank, &at) in order.iter().enumerate() {
        ranks[at as usize] = index(rank);
    }
    ranks
}

fn ends(parents: &[u32]) -> Vec<u32> {
    let mut ends: Vec<u32> = (1..=index(parents.len())).collect();
    for node in (1..parents.len()).rev() {
        let parent = parents[node] as usize;
        ends[parent] = ends[parent].max(ends[node]);
    }
    ends
}

fn ids(tree: &Tree) -> Vec<u64> {
    let mut ids = vec![NodeId::ALL.0; tree.frame.len()];
    for node in 1..ids.len() {
        let frame = &tree.frames[tree.frame[node] as usize];
        let parent = NodeId(ids[tree.parent[node] as usize]);
        ids[node] = parent.child(&frame.name, &frame.binary).0;
    }
    ids
}

fn index(len: usize) -> u32 {
    u32::try_from(len).expect("a tree of 2^32 nodes does not fit into memory")
}

/// Resolves stacks, each name once.
struct Names<'a> {
    symbols: &'a SymbolsView,
    /// Index of the tree's frame by the store's `FrameId`.
    frames: Vec<u32>,
    files: FxHashMap<FunctionId, u32>,
    locations: Vec<LocationId>,
    lost: Vec<FrameId>,
}

impl<'a> Names<'a> {
    fn new(symbols: &'a SymbolsView) -> Self {
        Self {
            symbols,
            frames: vec![NO_FRAME; symbols.frame_count()],
            files: FxHashMap::default(),
            locations: Vec::new(),
            lost: Vec::new(),
        }
    }

    fn calls(&mut self, stack: StackId, merge: &mut Merge, out: &mut Vec<Call>) {
        out.clear();
        self.symbols.locations(stack, &mut self.locations);
        for at in (0..self.locations.len()).rev() {
            let Some(location) = self.symbols.location(self.locations[at]) else { continue };
            for line in location.lines.iter().rev() {
                let frame = self.frame(line.frame, merge);
                let file = self.file(line.function, merge);
                out.push(Call { frame, file, line: line.line });
            }
            if location.lines.is_empty() {
                let frame = merge.frame(&Arc::from("[unsymbolized]"), &location.binary);
                out.push(Call { frame, file: NO_FILE, line: 0 });
            }
        }
        if self.locations.is_empty() {
            self.symbols.frames(stack, &mut self.lost);
            for at in 0..self.lost.len() {
                let frame = self.frame(self.lost[at], merge);
                out.push(Call { frame, file: NO_FILE, line: 0 });
            }
        }
    }

    fn frame(&mut self, id: FrameId, merge: &mut Merge) -> u32 {
        let known = self.frames.get(id.0 as usize).copied().unwrap_or(NO_FRAME);
        if known != NO_FRAME {
            return known;
        }
        let lost = || (Arc::from("[symbol lost]"), Arc::from(""));
        let named = |frame: &FrameName| (Arc::clone(&frame.name), Arc::clone(&frame.binary));
        let (name, binary) = self.symbols.frame(id).map_or_else(lost, named);
        let frame = merge.frame(&name, &binary);
        if let Some(slot) = self.frames.get_mut(id.0 as usize) {
            *slot = frame;
        }
        frame
    }

    fn file(&mut self, id: FunctionId, merge: &mut Merge) -> u32 {
        if let Some(&known) = self.files.get(&id) {
            return known;
        }
        let file = self.symbols.function(id).map_or(NO_FILE, |function| merge.file(&function.file));
        self.files.insert(id, file);
        file
    }
}

/// Keeps the stacks that pass through the node of this id, where `start` is the id of the frame that
/// all of them are under: `all`, or a service's.
pub fn keep_under(
    stacks: &mut Vec<(StackId, i64)>,
    symbols: &SymbolsView,
    start: NodeId,
    id: NodeId,
) {
    let mut merge = Merge::new();
    let mut names = Names::new(symbols);
    let mut calls = Vec::new();
    stacks.retain(|&(stack, _)| {
        names.calls(stack, &mut merge, &mut calls);
        let mut at = start;
        id == NodeId::ALL
            || at == id
            || calls.iter().any(|call| {
                let frame = &merge.frames[call.frame as usize];
                at = at.child(&frame.name, &frame.binary);
                at == id
            })
    });
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
