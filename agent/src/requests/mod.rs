//! From records of sockets to what is told of every request: rate, errors and duration, spans, and which
//! service asks which. The bytes themselves are read by `http`.

#![forbid(unsafe_code)]

mod connections;
mod context;
mod edges;
mod ended;
mod exported;
mod key;
mod node;
mod parents;
mod process;
mod red;
mod route;
mod sampling;
mod scraped;
mod series;
mod span;
mod spansums;
#[cfg(test)]
mod tests;

pub use connections::Connections;
pub use exported::ByService;
pub use process::Process;
pub use red::RequestMetrics;
pub use route::route_of;
pub use sampling::SamplingSettings;
pub use span::Span;
