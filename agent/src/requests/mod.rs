//! From records of sockets to rate, errors and duration of every request: whose connections they are,
//! and the metrics that their exchanges give. The bytes themselves are read by `http`.

mod connections;
mod red;
mod route;

pub use connections::Connections;
pub use red::{RequestMetrics, Spoken};
pub use route::route_of;
