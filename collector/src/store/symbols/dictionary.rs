//! The writing side of the symbols: takes rows in, each content hash once. Owned by the one thread
//! that commits, so it has no lock.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::view::{Node, ROOT, Symbols};
use super::{
    FrameId, FrameName, Function, FunctionId, FunctionRow, Line, LocationId, LocationRow, Series,
    StackRow, SymbolLocation, SymbolRows,
};

/// Indexes that only taking in needs. The tables themselves are [`Symbols`], passed in.
#[derive(Debug, Default)]
pub(in crate::store) struct Dictionary {
    texts: FxHashSet<Arc<str>>,
    functions: FxHashMap<u64, FunctionId>,
    frames: FxHashMap<(Arc<str>, Arc<str>), FrameId>,
    locations: FxHashMap<u64, LocationId>,
    nodes: FxHashMap<(u32, LocationId), u32>,
    /// Location hashes and nodes of the stack that was added last, outermost first.
    last: Vec<(u64, u32)>,
}

impl Dictionary {
    pub(in crate::store) fn has_function(&self, hash: u64) -> bool {
        self.functions.contains_key(&hash)
    }

    pub(in crate::store) fn has_location(&self, hash: u64) -> bool {
        self.locations.contains_key(&hash)
    }

    /// Adds what `symbols` does not have. Rows that name something unknown (its file was damaged)
    /// are left out and counted in the answer; their stacks read as lost.
    pub(in crate::store) fn take_in(&mut self, symbols: &mut Symbols, rows: &SymbolRows) -> usize {
        let mut orphans = 0;
        for row in &rows.functions {
            self.add_function(symbols, row);
        }
        for row in &rows.locations {
            orphans += usize::from(self.add_location(symbols, row).is_none());
        }
        for row in &rows.stacks {
            orphans += usize::from(self.add_stack(symbols, row).is_none());
        }
        for series in &rows.series {
            self.add_series(symbols, series);
        }
        orphans
    }

    fn text(&mut self, text: &Arc<str>) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        self.texts.insert(Arc::clone(text));
        Arc::clone(text)
    }

    fn add_function(&mut self, symbols: &mut Symbols, row: &FunctionRow) {
        if self.functions.contains_key(&row.hash) {
            return;
        }
        let function = Function {
            hash: row.hash,
            name: self.text(&row.name),
            system_name: self.text(&row.system_name),
            file: self.text(&row.file),
        };
        self.functions.insert(row.hash, FunctionId(next_id(symbols.functions.len())));
        symbols.functions.push(function);
    }

    fn add_location(&mut self, symbols: &mut Symbols, row: &LocationRow) -> Option<()> {
        if self.locations.contains_key(&row.hash) {
            return Some(());
        }
        let binary = self.text(&row.binary);
        let mut lines = Vec::with_capacity(row.functions.len());
        for (hash, &line) in row.functions.iter().zip(&row.lines) {
            let function = *self.functions.get(hash)?;
            let name = Arc::clone(&symbols.functions.get(function.0 as usize)?.name);
            lines.push(Line { frame: self.frame(symbols, name, &binary), function, line });
        }
        let build_id = self.text(&row.build_id);
        self.locations.insert(row.hash, LocationId(next_id(symbols.locations.len())));
        symbols.locations.push(SymbolLocation {
            hash: row.hash,
            address: row.address,
            binary,
            build_id,
            lines: lines.into(),
        });
        Some(())
    }

    fn frame(&mut self, symbols: &mut Symbols, name: Arc<str>, binary: &Arc<str>) -> FrameId {
        let next = FrameId(next_id(symbols.frames.len()));
        let id = *self.frames.entry((Arc::clone(&name), Arc::clone(binary))).or_insert(next);
        if id == next {
            symbols.frames.push(FrameName { name, binary: Arc::clone(binary) });
        }
        id
    }

    fn add_stack(&mut self, symbols: &mut Symbols, row: &StackRow) -> Option<()> {
        if symbols.stacks.get(row.hash).is_some() {
            return Some(());
        }
        // Stacks are stored beside others with the same callers, whose nodes need no look-up.
        let same = |((last, _), hash): &(&(u64, u32), &u64)| last == *hash;
        let shared = self.last.iter().zip(row.locations.iter().rev()).take_while(same).count();
        self.last.truncate(shared);
        let mut node = self.last.last().map_or(ROOT, |(_, node)| *node);
        for hash in row.locations.iter().rev().skip(shared) {
            let location = *self.locations.get(hash)?;
            let next = next_id(symbols.nodes.len());
            let id = *self.nodes.entry((node, location)).or_insert(next);
            if id == next {
                symbols.nodes.push(Node { parent: node, location });
            }
            node = id;
            self.last.push((*hash, node));
        }
        symbols.stacks.insert(row.hash, node);
        Some(())
    }

    fn add_series(&mut self, symbols: &mut Symbols, series: &Arc<Series>) {
        if symbols.series_by_id.contains_key(&series.id) {
            return;
        }
        let at = next_id(symbols.series.len());
        Arc::make_mut(&mut symbols.series_by_id).insert(series.id, at);
        symbols.series.push(Arc::clone(series));
    }
}

/// Ids are `u32`: four billion symbols would need some hundred GB of memory first.
fn next_id(len: usize) -> u32 {
    u32::try_from(len).expect("a table of 2^32 symbols does not fit into memory")
}
