//! Points to requests, errors and durations: what was added between two points of a series, summed
//! over series. Raw points are stored; everything here is computed when it is asked for.

mod buckets;
mod increase;
mod labels;
mod spread;
mod steps;

pub use buckets::Reading;
pub use increase::{Added, Increases};
pub use labels::{RequestLabels, instance};
pub use spread::{DEFAULT_BOUNDS_S, Spread};
pub use steps::{Steps, Tally};
