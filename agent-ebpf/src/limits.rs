//! Sizes that both sides must agree on.

/// The most addresses one side (kernel or user) of a stack can have: what `bpf_get_stack` gives at
/// the default of the sysctl `kernel.perf_event_max_stack`, which is 127. One more is room for the
/// power-of-two mask that the verifier wants.
pub const MAX_STACK_FRAMES: usize = 128;

/// Bytes of a thread name, its terminating zero included: the kernel's `TASK_COMM_LEN`.
pub const COMM_BYTES: usize = 16;
