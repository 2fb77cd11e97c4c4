//! What the agent asks of the kernel: loading and attaching programs, opening perf events, reading
//! their rings. Bytes go out of here undecoded.

mod btf;
mod clock;
mod cpus;
mod drain;
mod hotplug;
mod load;
mod memory;
mod perf_event;
mod priority;
mod probe;
mod process_events;
mod procmap;
mod sampler;
mod socket_drain;
mod syscalls;
mod tables;
mod unwind_memory;

pub use clock::{boot_ns, unix_ns};
pub use drain::{Batch, Drain, DrainHealth};
pub use hotplug::Hotplug;
pub use load::{AcceptedProgram, DEFAULT_TABLE_BYTES, KernelError, LoadSettings, Programs};
pub use memory::{give_back_freed_memory, use_one_heap};
pub use priority::go_last;
pub use probe::{Feature, Need, probe};
pub use process_events::{ProcessRing, RingChange};
pub use procmap::{ProcMap, is_unknown};
pub use sampler::Sampler;
pub use socket_drain::{SocketBatch, SocketDrain};
pub use syscalls::{Attached, SyscallCalls, SyscallCounts, SyscallKind, SyscallWatch};
pub use tables::{Processes, SharedBytes, SharedRecords, SharedTables};
pub use unwind_memory::{SharedArena, SharedArray, SharedEpoch, SharedProcesses, UnwindMemory};
