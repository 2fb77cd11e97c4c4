//! What kernel and agent share: the layouts of records, their limits, and the reasons for every
//! loss. Written once, here; read in one place, the agent's `record` module. No helper calls and no
//! maps: those are the bin target's.
#![no_std]

pub mod drops;
pub mod limits;
pub mod sample;
pub mod settings;
pub mod socket;
pub mod syscall;
pub mod unwind;

pub use drops::DropReason;
pub use sample::{Resume, SampleHeader, StackEnd};
