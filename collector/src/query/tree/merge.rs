//! Stacks to a tree: sorted by their frames, laid out once, added up.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::names::Names;
use super::order::DepthFirst;
use super::{NO_FILE, NO_FRAME, Tree, TreeFrame, index};
use crate::query::kind::Kind;
use crate::store::StackId;

/// One step of a stack: function, source file, line.
#[derive(Clone, Copy, Debug)]
pub(in crate::query) struct Call {
    pub(in crate::query) frame: u32,
    pub(in crate::query) file: u32,
    pub(in crate::query) line: u32,
}

/// Stacks on their way into a tree. Sorted by their frames, stacks that share callers stand next to
/// each other, so nodes come in depth-first order without any look-up.
#[derive(Default)]
pub(in crate::query) struct Merge {
    pub(super) frames: Vec<TreeFrame>,
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
    pub(in crate::query) fn new() -> Self {
        let mut merge = Self::default();
        merge.file(&Arc::from(""));
        merge
    }

    /// Index of a function. `binary` may be a path.
    pub(in crate::query) fn frame(&mut self, name: &Arc<str>, binary: &Arc<str>) -> u32 {
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
    pub(in crate::query) fn file(&mut self, file: &Arc<str>) -> u32 {
        let next = index(self.files.len());
        let at = *self.file_at.entry(Arc::clone(file)).or_insert(next);
        if at == next {
            self.files.push(Arc::clone(file));
        }
        at
    }

    /// Adds stacks under a frame that all of them have in common.
    pub(super) fn add_all(
        &mut self,
        stacks: &[(StackId, i64)],
        under: Option<Call>,
        names: &mut Names<'_>,
    ) {
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
    pub(in crate::query) fn add(&mut self, calls: &[Call], value: i64) {
        let start = self.stack_frames.len();
        self.stack_frames.extend(calls.iter().map(|call| call.frame));
        self.stack_sources.extend(calls.iter().map(|call| (call.file, call.line)));
        self.stacks.push(Stack { start, end: self.stack_frames.len(), value });
    }

    /// Builds the nodes, adds up, and puts children into order.
    pub(in crate::query) fn finish(mut self) -> Tree {
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
