//! What the agent asks of the kernel: loading and attaching programs, opening perf events, reading
//! their rings. Bytes go out of here undecoded.

mod clock;
mod cpus;
mod drain;
mod load;
mod memory;
mod perf_event;
mod probe;
mod process_events;
mod sampler;

pub use clock::{boot_ns, unix_ns};
pub use drain::{Batch, Drain, DrainHealth};
pub use load::{AcceptedProgram, KernelError, LoadSettings, Programs};
pub use memory::{give_back_freed_memory, use_one_heap};
pub use probe::{Feature, Need, probe};
pub use sampler::Sampler;
