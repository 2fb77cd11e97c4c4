//! The store's stacks, resolved to a tree's functions and source lines.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::merge::{Call, Merge};
use super::{NO_FILE, NO_FRAME};
use crate::query::node_id::NodeId;
use crate::store::{FrameId, FrameName, FunctionId, LocationId, StackId, SymbolsView};

/// Resolves stacks, each name once.
pub(super) struct Names<'a> {
    symbols: &'a SymbolsView,
    /// Index of the tree's frame by the store's `FrameId`.
    frames: Vec<u32>,
    files: FxHashMap<FunctionId, u32>,
    locations: Vec<LocationId>,
    lost: Vec<FrameId>,
}

impl<'a> Names<'a> {
    pub(super) fn new(symbols: &'a SymbolsView) -> Self {
        Self {
            symbols,
            frames: vec![NO_FRAME; symbols.frame_count()],
            files: FxHashMap::default(),
            locations: Vec::new(),
            lost: Vec::new(),
        }
    }

    pub(super) fn calls(&mut self, stack: StackId, merge: &mut Merge, out: &mut Vec<Call>) {
        out.clear();
        self.symbols.locations(stack, &mut self.locations);
        for at in (0..self.locations.len()).rev() {
            self.push_calls(self.locations[at], merge, out);
        }
        if self.locations.is_empty() {
            self.symbols.frames(stack, &mut self.lost);
            for at in 0..self.lost.len() {
                let frame = self.frame(self.lost[at], merge);
                out.push(Call { frame, file: NO_FILE, line: 0 });
            }
        }
    }

    /// Replaces `out` by the calls at a location, outermost first.
    pub(super) fn calls_of(&mut self, id: LocationId, merge: &mut Merge, out: &mut Vec<Call>) {
        out.clear();
        self.push_calls(id, merge, out);
    }

    fn push_calls(&mut self, id: LocationId, merge: &mut Merge, out: &mut Vec<Call>) {
        let symbols = self.symbols;
        let Some(location) = symbols.location(id) else { return };
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
