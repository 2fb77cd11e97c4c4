//! Symbols as rows: the form in which they are logged, written and loaded.

use std::sync::Arc;

use super::Series;

/// Symbols on their way into a [`super::Dictionary`]. Rows name each other by content hash; what a
/// row names stands in the same rows or is known already.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct SymbolRows {
    pub(in crate::store) functions: Vec<FunctionRow>,
    pub(in crate::store) locations: Vec<LocationRow>,
    pub(in crate::store) stacks: Vec<StackRow>,
    pub(in crate::store) series: Vec<Arc<Series>>,
}

/// See [`crate::profile::Frame`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct FunctionRow {
    pub(in crate::store) hash: u64,
    pub(in crate::store) name: Arc<str>,
    pub(in crate::store) system_name: Arc<str>,
    pub(in crate::store) file: Arc<str>,
}

/// See [`crate::profile::Location`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct LocationRow {
    pub(in crate::store) hash: u64,
    pub(in crate::store) address: u64,
    pub(in crate::store) binary: Arc<str>,
    pub(in crate::store) build_id: Arc<str>,
    /// Function hashes, innermost first.
    pub(in crate::store) functions: Vec<u64>,
    /// As long as `functions`.
    pub(in crate::store) lines: Vec<u32>,
}

/// A stack: location hashes, leaf first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct StackRow {
    pub(in crate::store) hash: u64,
    pub(in crate::store) locations: Vec<u64>,
}

impl SymbolRows {
    /// True if there is nothing in any table.
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.functions.is_empty()
            && self.locations.is_empty()
            && self.stacks.is_empty()
            && self.series.is_empty()
    }

    /// Moves everything of `other` behind what is here.
    pub(in crate::store) fn append(&mut self, mut other: Self) {
        self.functions.append(&mut other.functions);
        self.locations.append(&mut other.locations);
        self.stacks.append(&mut other.stacks);
        self.series.append(&mut other.series);
    }
}
