//! A profile once its wire format is gone: what ingest hands to the store, and what the store's
//! answers are made of. Pure data.

use std::fmt;
use std::sync::Arc;

/// What a profile's numbers measure, in Pyroscope's five-part spelling:
/// `process_cpu:cpu:nanoseconds:cpu:nanoseconds`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProfileType {
    /// `process_cpu`; the push's `__name__` label.
    pub name: Arc<str>,
    /// `cpu`
    pub sample_type: Arc<str>,
    /// `nanoseconds`
    pub sample_unit: Arc<str>,
    /// `cpu`
    pub period_type: Arc<str>,
    /// `nanoseconds`
    pub period_unit: Arc<str>,
}

impl fmt::Display for ProfileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, sample_type, sample_unit, period_type, period_unit } = self;
        write!(f, "{name}:{sample_type}:{sample_unit}:{period_type}:{period_unit}")
    }
}

/// Name and value pairs, sorted by name, each name once. Includes `service_name`, never `__name__`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(pub Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// The value of `name`, if it is there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<str>> {
        self.0.binary_search_by(|(key, _)| key.as_ref().cmp(name)).ok().map(|at| &self.0[at].1)
    }
}

/// One profile of one type, checked: every index below is in range, every limit kept.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What the values measure.
    pub profile_type: ProfileType,
    /// What one event stands for, in the period's unit; 0 where the sender did not say.
    pub period: i64,
    /// Start, in milliseconds since 1970.
    pub start_unix_ms: i64,
    /// Length in milliseconds; 0 where the sender did not say.
    pub duration_ms: i64,
    /// Distinct label sets of the samples (the push's labels and the sample's own).
    pub series: Vec<Labels>,
    /// Distinct frames.
    pub frames: Vec<Frame>,
    /// Distinct locations: one address, with the frames inlined there.
    pub locations: Vec<Location>,
    /// Samples; several may share a stack.
    pub samples: Vec<Sample>,
}

/// One value of one stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Index into [`Profile::series`].
    pub series: u32,
    /// Indices into [`Profile::locations`], leaf first.
    pub stack: Vec<u32>,
    /// In the type's unit; never 0.
    pub value: i64,
}

/// One address of one binary and the functions there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// As the binary's symbol table counts it; 0 where the sender gave none.
    pub address: u64,
    /// File name of the binary, as sent; empty where there is none.
    pub binary: Arc<str>,
    /// Build id of the binary in hex; empty where there is none.
    pub build_id: Arc<str>,
    /// Indices into [`Profile::frames`], innermost inlined function first.
    pub frames: Vec<u32>,
    /// Source line of each frame; 0 where unknown. As long as `frames`.
    pub lines: Vec<u32>,
}

/// One function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Name for people.
    pub name: Arc<str>,
    /// Name as the symbol table spells it; empty where it is the same.
    pub system_name: Arc<str>,
    /// Source file; empty where unknown.
    pub file: Arc<str>,
}
