//! Names of the constants that the agent sets in the programs before it loads them.

/// `u64`: bytes waiting in the sample ring above which the drain thread is woken early.
pub const WAKE_BYTES: &str = "WAKE_BYTES";
