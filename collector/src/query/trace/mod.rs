//! Spans to what is shown of traces: which match, what a trace amounts to, one trace whole.

mod attribute;
mod search;
mod view;

pub use attribute::{Attribute, attributes_of, resource_attributes, to_json, to_text};
pub use search::{Newest, SpanSearch, Summaries, Summary};
pub use view::{ResourceView, SpanView, Trace};
