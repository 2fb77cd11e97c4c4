//! Kernel-side work: the only place that calls BPF helpers and touches maps.

pub(crate) mod cost;
pub(crate) mod drops;
pub(crate) mod profile;
mod registers;
pub(crate) mod sockets;
mod stack;
pub(crate) mod syscalls;
pub(crate) mod tables;
pub(crate) mod walk;
