//! From text to a question for the store, and from its answer to trees, tables and series. No I/O
//! and no clock: the store's answers and the time are passed in.
#![forbid(unsafe_code)]

mod folded;
mod kind;
mod node_id;
mod pattern;
mod pprof;
mod range;
mod red;
mod search;
mod selector;
mod svg;
mod timeline;
mod top;
mod trace;
mod tree;
mod trim;
mod trust;

#[cfg(test)]
mod against_naive;

pub use folded::folded;
pub use kind::Kind;
pub use node_id::NodeId;
pub use pattern::{Pattern, PatternError};
pub use pprof::{Meaning, OwnStack, encode as encode_pprof, encode_own as encode_own_pprof};
pub use range::{RangeError, TimeRange};
pub use red::{
    Added, DEFAULT_BOUNDS_S, Increases, Reading, RequestLabels, Spread, Steps, Tally, instance,
};
pub use search::{Matches, search};
pub use selector::{SelectorError, parse_selector, parse_type};
pub use svg::svg;
pub use timeline::{KindSeries, by_kind, step_ms};
pub use top::{Row, Sort, top};
pub use trace::{
    Attribute, Newest, ResourceView, SpanSearch, SpanView, Summaries, Summary, Trace,
    attributes_of, resource_attributes, to_json, to_text,
};
pub use tree::{Tree, TreeFrame, keep_under, names_of, service_id};
pub use trim::{Filler, Node, View, trim};
pub use trust::{Cost, Count, Trust, trust};
