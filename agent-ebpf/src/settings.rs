//! Names of the constants that the agent sets in the programs before it loads them.

/// `u64`: bytes waiting in the sample ring above which the drain thread is woken early.
pub const WAKE_BYTES: &str = "WAKE_BYTES";

/// `u8`: 1 where the kernel has the helper `bpf_task_pt_regs`.
pub const HAS_TASK_REGISTERS: &str = "HAS_TASK_REGISTERS";

/// `u64`: byte of `task_struct` where the kernel stack's address is; 0 if not known.
pub const TASK_STACK_OFFSET: &str = "TASK_STACK_OFFSET";
