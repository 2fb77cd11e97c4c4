//! End to end, as root, on the real kernel: workload → agent → collector → query.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chains;
mod crashes;
mod debuginfod;
mod edges;
mod full_disk;
mod hostile_agent;
mod hostile_collector;
mod hostile_requests;
mod jit;
mod oneshot;
mod requests;
mod rights;
mod room;
mod sdk;
mod servers;
mod shares;
mod syscalls;
mod traces;
mod watched;
