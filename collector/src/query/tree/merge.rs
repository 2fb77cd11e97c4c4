//! Stacks to a tree. The store's stacks are a tree of locations already; each of its nodes that a
//! question needs is turned into functions once, however many stacks pass through it.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::names::Names;
use super::order::DepthFirst;
use super::{NO_FILE, NO_FRAME, Tree, TreeFrame, index};
use crate::query::kind::Kind;
use crate::store::{StackId, StackNode, SymbolsView};

/// One step of a stack: function, source file, line.
#[derive(Clone, Copy, Debug)]
pub(in crate::query) struct Call {
    pub(in crate::query) frame: u32,
    pub(in crate::query) file: u32,
    pub(in crate::query) line: u32,
}

/// A tree while stacks come in: parents before children, children in no order.
pub(in crate::query) struct Merge {
    pub(super) frames: Vec<TreeFrame>,
    files: Vec<Arc<str>>,
    frame_at: FxHashMap<(Arc<str>, Arc<str>), u32>,
    file_at: FxHashMap<Arc<str>, u32>,
    /// Base names of binaries' paths.
    bases: FxHashMap<Arc<str>, Arc<str>>,
    tree: Tree,
    /// The largest value of one stack through each node, whose source line it has.
    heaviest: Vec<i64>,
    /// Node by parent and function.
    children: FxHashMap<(u32, u32), u32>,
}

impl Merge {
    pub(in crate::query) fn new() -> Self {
        let mut merge = Self {
            frames: Vec::new(),
            files: Vec::new(),
            frame_at: FxHashMap::default(),
            file_at: FxHashMap::default(),
            bases: FxHashMap::default(),
            tree: Tree::default(),
            heaviest: Vec::new(),
            children: FxHashMap::default(),
        };
        merge.file(&Arc::from(""));
        merge.push(0, Call { frame: NO_FRAME, file: NO_FILE, line: 0 }, 0);
        merge
    }

    /// Index of a function. `binary` may be a path.
    pub(in crate::query) fn frame(&mut self, name: &Arc<str>, binary: &Arc<str>) -> u32 {
        let base = self.base(binary);
        let next = index(self.frames.len());
        let at = *self.frame_at.entry((Arc::clone(name), Arc::clone(&base))).or_insert(next);
        if at == next {
            let kind = Kind::of(name, &base);
            self.frames.push(TreeFrame { name: Arc::clone(name), binary: base, kind });
        }
        at
    }

    fn base(&mut self, binary: &Arc<str>) -> Arc<str> {
        let Some((_, base)) = binary.rsplit_once('/').filter(|_| !binary.starts_with('[')) else {
            return Arc::clone(binary);
        };
        if let Some(known) = self.bases.get(binary) {
            return Arc::clone(known);
        }
        let base: Arc<str> = Arc::from(base);
        self.bases.insert(Arc::clone(binary), Arc::clone(&base));
        base
    }

    /// Index of a source file.
    pub(in crate::query) fn file(&mut self, file: &Arc<str>) -> u32 {
        let next = index(self.files.len());
        let at = *self.file_at.entry(Arc::clone(file)).or_insert(next);
        if at == next {
            self.files.push(Arc::clone(file));
        }
        at
    }

    /// Adds a stack, outermost call first.
    pub(in crate::query) fn add(&mut self, calls: &[Call], value: i64) {
        let mut node = 0;
        for call in calls {
            node = self.child(node, *call, value);
        }
        self.add_own(node, value);
    }

    /// The child of a node for a call, on the path of a stack of this value.
    fn child(&mut self, parent: u32, call: Call, value: i64) -> u32 {
        let next = index(self.tree.frame.len());
        let at = *self.children.entry((parent, call.frame)).or_insert(next);
        if at == next {
            self.push(parent, call, value);
        } else if value > self.heaviest[at as usize] {
            let node = at as usize;
            self.heaviest[node] = value;
            (self.tree.file[node], self.tree.line[node]) = (call.file, call.line);
        }
        at
    }

    fn push(&mut self, parent: u32, call: Call, value: i64) {
        self.tree.frame.push(call.frame);
        self.tree.file.push(call.file);
        self.tree.line.push(call.line);
        self.tree.parent.push(parent);
        self.tree.own.push(0);
        self.heaviest.push(value);
    }

    fn add_own(&mut self, node: u32, value: i64) {
        let own = &mut self.tree.own[node as usize];
        *own = own.saturating_add(value);
    }

    /// Adds up, and puts children into order.
    pub(in crate::query) fn finish(self) -> Tree {
        let mut tree = self.tree;
        tree.frames = self.frames;
        tree.files = self.files;
        drop((self.children, self.frame_at, self.heaviest));
        let mut total = tree.own.clone();
        for node in (1..total.len()).rev() {
            let parent = tree.parent[node] as usize;
            total[parent] = total[parent].saturating_add(total[node]);
        }
        DepthFirst::of(&tree, &total).arrange(tree, &total)
    }
}

/// The store's stack nodes on their way into a tree.
pub(super) struct Walk<'a> {
    symbols: &'a SymbolsView,
    names: Names<'a>,
    /// By stack node: the largest value of a stack through it, or a value below every real one
    /// where no stack of the group at hand passes.
    heaviest: Vec<i64>,
    /// By stack node of the group at hand: the tree's node.
    node: Vec<u32>,
}

const NOT_PASSED: i64 = i64::MIN;

impl<'a> Walk<'a> {
    pub(super) fn new(symbols: &'a SymbolsView) -> Self {
        let nodes = symbols.node_count();
        let (heaviest, node) = (vec![NOT_PASSED; nodes], vec![0; nodes]);
        Self { symbols, names: Names::new(symbols), heaviest, node }
    }

    /// Adds stacks under a call that all of them have in common.
    pub(super) fn add_all(
        &mut self,
        stacks: &[(StackId, i64)],
        under: Option<Call>,
        merge: &mut Merge,
    ) {
        let largest = stacks.iter().map(|(_, value)| *value).max().unwrap_or(0);
        let top = under.map_or(0, |call| merge.child(0, call, largest));
        let passed = self.pass(stacks);
        let mut calls = Vec::new();
        for &at in &passed {
            let Some((location, caller)) = self.symbols.node(at) else { continue };
            self.names.calls_of(location, merge, &mut calls);
            let value = self.heaviest[at.0 as usize];
            let mut node = caller.map_or(top, |caller| self.node[caller.0 as usize]);
            for call in &calls {
                node = merge.child(node, *call, value);
            }
            self.node[at.0 as usize] = node;
        }
        for &(stack, value) in stacks {
            match self.symbols.leaf(stack) {
                Some(leaf) => merge.add_own(self.node[leaf.0 as usize], value),
                None => self.add_lost(stack, value, top, merge),
            }
        }
        for at in passed {
            self.heaviest[at.0 as usize] = NOT_PASSED;
        }
    }

    /// The nodes that stacks pass, callers first, each with its heaviest stack.
    fn pass(&mut self, stacks: &[(StackId, i64)]) -> Vec<StackNode> {
        let mut passed = Vec::new();
        for &(stack, value) in stacks {
            let mut next = self.symbols.leaf(stack);
            while let Some(at) = next {
                let heaviest = &mut self.heaviest[at.0 as usize];
                if *heaviest >= value {
                    break;
                }
                if *heaviest == NOT_PASSED {
                    passed.push(at);
                }
                *heaviest = value;
                next = self.symbols.node(at).and_then(|(_, caller)| caller);
            }
        }
        passed.sort_unstable();
        passed
    }

    fn add_lost(&mut self, stack: StackId, value: i64, top: u32, merge: &mut Merge) {
        let mut calls = Vec::new();
        self.names.calls(stack, merge, &mut calls);
        let mut node = top;
        for call in calls {
            node = merge.child(node, call, value);
        }
        merge.add_own(node, value);
    }
}
