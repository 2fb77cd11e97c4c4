//! Samples of one time window, counted by stack. No I/O, no clock: times come in with the samples.

mod window;

pub use window::{
    Binary, Location, ProfileWindow, ServiceProfile, StackCount, Trust, TrustCount,
};
