//! What stacks are made of, in memory: every function, location, stack and series that a stored
//! sample names. Content-addressed, so that taking the same thing in twice is harmless. Files are
//! `table`'s.

mod chunked;
mod dictionary;
mod export;
mod rows;
mod view;

use std::sync::Arc;

pub(super) use chunked::Chunked;
pub(super) use dictionary::Dictionary;
pub(super) use rows::{FunctionRow, LocationRow, StackRow, SymbolRows};
pub(super) use view::Symbols;
pub use view::SymbolsView;

use crate::profile::{Labels, ProfileType};

/// Content hash of a stack; the same in every collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId(pub u64);

/// Content hash of a series; the same in every collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(pub u64);

/// What a flame graph draws one box for: a function name in a binary. Counts from 0 without gaps,
/// and is stable while the store is open and symbols are not cleaned up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId(pub u32);

/// A function with its file. Several share a [`FrameId`] where a binary has the name twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(pub u32);

/// An address of a binary with the functions inlined there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocationId(pub u32);

/// A location with its callers up to the outermost: stacks that share callers share nodes. Counts
/// from 0, callers first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackNode(pub u32);

/// A label set of one profile type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Hash of all below.
    pub id: SeriesId,
    /// What the values measure.
    pub profile_type: ProfileType,
    /// What one event stands for, in the period's unit; 0 where the sender did not say.
    pub period: i64,
    /// Labels, `service_name` among them.
    pub labels: Labels,
}

impl Series {
    /// The `service_name` label; empty where there is none.
    #[must_use]
    pub fn service(&self) -> &str {
        self.labels.get("service_name").map_or("", |name| name)
    }
}

/// Name and binary of a [`FrameId`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameName {
    /// Function name for people.
    pub name: Arc<str>,
    /// File name of the binary; empty where there is none.
    pub binary: Arc<str>,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Content hash.
    pub(super) hash: u64,
    /// Name for people.
    pub name: Arc<str>,
    /// Name as the symbol table spells it; empty where it is the same.
    pub system_name: Arc<str>,
    /// Source file; empty where unknown.
    pub file: Arc<str>,
}

/// A location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolLocation {
    /// Content hash.
    pub(super) hash: u64,
    /// As the binary's symbol table counts it; 0 where the sender gave none.
    pub address: u64,
    /// File name of the binary; empty where there is none.
    pub binary: Arc<str>,
    /// Build id of the binary in hex; empty where there is none.
    pub build_id: Arc<str>,
    /// Functions here, innermost inlined one first.
    pub lines: Arc<[Line]>,
}

/// One function of a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Box of the flame graph.
    pub frame: FrameId,
    /// Function with its file.
    pub function: FunctionId,
    /// Source line; 0 where unknown.
    pub line: u32,
}
