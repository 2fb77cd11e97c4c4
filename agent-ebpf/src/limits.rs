//! Sizes that both sides must agree on.

/// The most addresses that a kernel stack can have: what `bpf_get_stack` gives at the default of the
/// sysctl `kernel.perf_event_max_stack`, which is 127. One more is room for the power-of-two mask
/// that the verifier wants.
pub const MAX_KERNEL_FRAMES: usize = 128;

/// The most addresses that a user stack can have.
pub const MAX_USER_FRAMES: usize = 1024;

/// The most bytes of a stack that a record carries for the agent to go on with.
pub const MAX_STACK_COPY: usize = 32 << 10;

/// Bytes below a frame's stack pointer that such a copy begins with: what a function has popped lies
/// there, and tables go on saying so until it returns. As many as the ABI keeps from signal handlers.
pub const BELOW_STACK_POINTER: usize = 128;

/// Bytes of an element of the arena. A page lies in one element.
pub const ARENA_ELEMENT_BYTES: usize = 64 << 10;

/// Executable mappings that the kernel side can hold, of all processes together.
pub const MAX_MAPPINGS: u32 = 1 << 15;

/// Halvings that surely find one of [`MAX_MAPPINGS`].
pub const MAPPING_HALVINGS: u32 = 16;

/// Elements of the directory, one for each 64 KiB of text of each file.
pub const MAX_DIRECTORY: u32 = 1 << 17;

/// Processes whose code the kernel side can know.
pub const MAX_PROCESSES: u32 = 8192;

/// Bytes of a thread name, its terminating zero included: the kernel's `TASK_COMM_LEN`.
pub const COMM_BYTES: usize = 16;

/// Counts of system calls that the kernel keeps at a time, one for each process, call and error.
pub const MAX_SYSCALL_KEYS: u32 = 1 << 14;
