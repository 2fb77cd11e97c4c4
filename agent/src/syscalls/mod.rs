//! From counts that the kernel keeps of system calls to metrics with names: whose they are, which call,
//! which error. Reading the kernel is not its business.
#![forbid(unsafe_code)]

mod account;
mod mode;
mod names;
mod series;

pub use account::SyscallAccount;
pub use mode::SyscallMode;
pub use names::{error_name, syscall_name};
pub use series::{SyscallLabels, SyscallMetrics, SyscallTotals};
