//! Samples of one time window, counted by stack. No I/O, no clock: times come in with the samples.

#![forbid(unsafe_code)]

mod binaries;
mod counts;
mod distribution;
mod exec;
mod goroutine;
mod points;
mod trust;
mod window;

pub use binaries::BinarySight;
pub use counts::{RawProcess, RawStack, RawWindow, StackCounter};
pub use distribution::{Distribution, Exponential};
pub use exec::without_program;
pub use goroutine::without_goroutine;
pub use points::{Example, Measured, Metric, Point};
pub use trust::TrustTally;
pub use window::{Binary, Location, ProfileWindow, ServiceProfile, StackCount, Trust, TrustCount};
