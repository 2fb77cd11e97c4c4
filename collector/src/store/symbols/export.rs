//! Symbols back to rows, all of them or only what some samples name.

use super::view::Symbols;
use super::{
    Dictionary, Function, FunctionRow, Line, LocationRow, StackRow, SymbolLocation, SymbolRows,
};
use crate::store::collect::Named;

/// Rows of one portion: a stack's row may hold 2,048 locations of 8 bytes.
const PORTION: usize = 8192;

/// Which rows of each table are wanted.
struct Wanted<'a> {
    functions: Vec<bool>,
    locations: Vec<bool>,
    named: Option<&'a Named>,
}

impl Wanted<'_> {
    fn has_stack(&self, hash: u64) -> bool {
        self.named.is_none_or(|named| named.stacks.contains(&hash))
    }

    fn has_series(&self, id: u64) -> bool {
        self.named.is_none_or(|named| named.series.contains(&id))
    }
}

impl Symbols {
    /// Numbers of functions, locations, stacks and series.
    pub(in crate::store) fn counts(&self) -> [usize; 4] {
        [self.functions.len(), self.locations.len(), self.stacks.iter().count(), self.series.len()]
    }

    /// Everything as rows, a portion at a time, to be written anew. What a row names stands in an
    /// earlier portion.
    pub(in crate::store) fn rows(&self) -> impl Iterator<Item = SymbolRows> + '_ {
        self.wanted_rows(Wanted {
            functions: vec![true; self.functions.len()],
            locations: vec![true; self.locations.len()],
            named: None,
        })
    }

    /// As [`Symbols::rows`], of the named stacks and series and what they are made of.
    pub(in crate::store) fn rows_of<'a>(
        &'a self,
        named: &'a Named,
    ) -> impl Iterator<Item = SymbolRows> + 'a {
        let locations = self.locations_of(named);
        let mut functions = vec![false; self.functions.len()];
        for (row, _) in self.locations.iter().zip(&locations).filter(|(_, wanted)| **wanted) {
            row.lines.iter().for_each(|line| functions[line.function.0 as usize] = true);
        }
        self.wanted_rows(Wanted { functions, locations, named: Some(named) })
    }

    /// The same symbols without those that are not named.
    pub(in crate::store) fn only(&self, named: &Named) -> (Self, Dictionary) {
        let (mut symbols, mut dictionary) = (Self::default(), Dictionary::default());
        for rows in self.rows_of(named) {
            dictionary.take_in(&mut symbols, &rows);
        }
        (symbols, dictionary)
    }

    fn locations_of(&self, named: &Named) -> Vec<bool> {
        let mut wanted = vec![false; self.locations.len()];
        let mut seen = vec![false; self.nodes.len()];
        for (_, leaf) in self.stacks.iter().filter(|(hash, _)| named.stacks.contains(hash)) {
            let mut at = leaf as usize;
            // Below a node that was seen, everything was.
            while let Some(node) = self.nodes.get(at).filter(|_| !seen[at]) {
                seen[at] = true;
                wanted[node.location.0 as usize] = true;
                at = node.parent as usize;
            }
        }
        wanted
    }

    fn wanted_rows<'a>(&'a self, wanted: Wanted<'a>) -> impl Iterator<Item = SymbolRows> + 'a {
        let Wanted { functions, locations, .. } = &wanted;
        let functions: Vec<usize> = indices(functions);
        let locations: Vec<usize> = indices(locations);
        let functions = functions.into_iter().filter_map(|at| self.functions.get(at));
        let functions = portions(functions.map(function_row), |functions| SymbolRows {
            functions,
            ..SymbolRows::default()
        });
        let locations = locations.into_iter().filter_map(|at| self.locations.get(at));
        let locations = portions(locations.map(|row| self.location_row(row)), |locations| {
            SymbolRows { locations, ..SymbolRows::default() }
        });
        let series: Vec<_> =
            self.series.iter().filter(|one| wanted.has_series(one.id.0)).cloned().collect();
        let series =
            portions(series.into_iter(), |series| SymbolRows { series, ..SymbolRows::default() });
        // In the order of their leaves' nodes, which puts stacks with the same callers together.
        let mut stacks: Vec<(u64, u32)> =
            self.stacks.iter().filter(|(hash, _)| wanted.has_stack(*hash)).collect();
        stacks.sort_unstable_by_key(|(_, leaf)| *leaf);
        let stacks =
            portions(stacks.into_iter().map(|(hash, leaf)| self.stack_row(hash, leaf)), |stacks| {
                SymbolRows { stacks, ..SymbolRows::default() }
            });
        functions.chain(locations).chain(stacks).chain(series)
    }

    fn location_row(&self, row: &SymbolLocation) -> LocationRow {
        let hash = |line: &Line| self.functions.get(line.function.0 as usize).map(|f| f.hash);
        LocationRow {
            hash: row.hash,
            address: row.address,
            binary: row.binary.clone(),
            build_id: row.build_id.clone(),
            functions: row.lines.iter().filter_map(hash).collect(),
            lines: row.lines.iter().map(|line| line.line).collect(),
        }
    }

    fn stack_row(&self, hash: u64, leaf: u32) -> StackRow {
        let mut locations = Vec::new();
        let mut at = leaf;
        while let Some(node) = self.nodes.get(at as usize) {
            locations.extend(self.locations.get(node.location.0 as usize).map(|row| row.hash));
            at = node.parent;
        }
        StackRow { hash, locations }
    }
}

fn function_row(row: &Function) -> FunctionRow {
    FunctionRow {
        hash: row.hash,
        name: row.name.clone(),
        system_name: row.system_name.clone(),
        file: row.file.clone(),
    }
}

/// Places of the wanted rows.
fn indices(wanted: &[bool]) -> Vec<usize> {
    wanted.iter().enumerate().filter(|(_, wanted)| **wanted).map(|(at, _)| at).collect()
}

fn portions<T>(
    mut rows: impl Iterator<Item = T>,
    of: impl Fn(Vec<T>) -> SymbolRows,
) -> impl Iterator<Item = SymbolRows> {
    std::iter::from_fn(move || {
        let portion: Vec<T> = rows.by_ref().take(PORTION).collect();
        (!portion.is_empty()).then(|| of(portion))
    })
}
