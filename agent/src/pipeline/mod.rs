//! How the stages hang together. It knows every stage, and none knows it.
//!
//! ```text
//!  kernel rings ──► drain thread ──► capture thread ──► naming thread ──► windows
//!                   bytes → batches   whose, where,      addresses →       (one-shot: to files;
//!                   never waits       counted            names             daemon: to the queue)
//! ```
//!
//! One-shot recording and the daemon run this same pipeline; only what happens to its windows
//! differs.

mod capture;
mod counters;
mod debug_files;
mod handovers;
mod jit_names;
mod kernel_names;
mod naming;
mod requests;
mod syscalls;
mod targets;
mod unwinding;

use std::{
    sync::mpsc::{Receiver, sync_channel},
    thread::JoinHandle,
    time::Duration,
};

pub use counters::Counters;
pub use targets::Targets;

use crate::{
    aggregate::ProfileWindow,
    kernel::{Drain, DrainHealth, Hotplug, KernelError, LoadSettings, Programs, go_last},
    symbol::debuginfod::DebuginfodSettings,
    syscalls::SyscallMode,
};
use capture::Capture;
use naming::Naming;
pub use requests::RequestSettings;
use requests::Requests;
use syscalls::Syscalls;
use unwinding::Unwinding;

/// What to capture, and how.
pub struct CaptureSettings {
    /// Ticks of the sampling clock per second and CPU.
    pub frequency: u32,
    /// Length of a window; `None` for one that ends when the capture does.
    pub window: Option<Duration>,
    /// Whose samples count.
    pub targets: Targets,
    /// Name of this host, for the series' labels.
    pub host: String,
    /// Let the BPF programs write to the log.
    pub debug_messages: bool,
    /// Bytes of memory for unwind tables, which the kernel side and the agent share.
    pub table_bytes: usize,
    /// How HTTP requests are measured; `None` where they are not.
    pub requests: Option<RequestSettings>,
    /// What of system calls is measured.
    pub syscalls: SyscallMode,
    /// Where to ask for names of stripped programs; `None` asks nobody.
    pub debuginfod: Option<DebuginfodSettings>,
}

/// Batches that may wait for the capture thread. At ten a second this is six seconds' worth.
const WAITING_BATCHES: usize = 64;
/// Jobs that may wait for the naming thread.
const WAITING_JOBS: usize = 1024;
/// Windows that may wait for who takes them.
const WAITING_WINDOWS: usize = 4;

/// A running capture. Dropping it without [`Pipeline::finish`] loses what was not yet in a window.
pub struct Pipeline {
    sampler: Hotplug,
    drain: Drain,
    requests: Option<Requests>,
    syscalls: Option<Syscalls>,
    threads: Vec<JoinHandle<()>>,
}

impl Pipeline {
    /// Loads the programs and starts everything. Closed windows come out of the receiver, which
    /// ends when the capture has.
    ///
    /// # Errors
    /// If the kernel, or the rights of this process, do not allow it.
    pub fn start(
        settings: CaptureSettings,
        counters: &Counters,
    ) -> Result<(Self, Receiver<ProfileWindow>), KernelError> {
        let load = LoadSettings {
            debug_messages: settings.debug_messages,
            table_bytes: settings.table_bytes,
            sockets: settings.requests.is_some(),
            syscalls: settings.syscalls.watch(),
        };
        let mut programs = Programs::load(load)?;
        let unwinding = Unwinding::new(&mut programs)?;
        programs.start_exec_watch()?;
        let (batches, batches_in) = sync_channel(WAITING_BATCHES);
        let (jobs, jobs_in) = sync_channel(WAITING_JOBS);
        let (windows, windows_in) = sync_channel(WAITING_WINDOWS);
        let health = DrainHealth::default();
        // The record of processes runs before the first sample: who is sampled is then known.
        let drain = Drain::start(&mut programs, batches, health.clone())?;
        let requests = settings
            .requests
            .clone()
            .and_then(|settings| Requests::start(&mut programs, counters, settings));
        let syscalls = Syscalls::start(settings.syscalls, settings.window, &mut programs, counters);
        let frequency = settings.frequency;
        let is_daemon = settings.window.is_some();
        let naming = Naming::new(&settings, counters.clone(), windows);
        let reopen = naming.reopen();
        let sampler = Hotplug::start(programs.start_sampler(frequency)?, drain.rings())?;
        let capture =
            Capture::new(settings, programs, unwinding, health, counters.clone(), jobs, reopen);
        let threads = vec![
            thread("capture", move || capture.run(&batches_in))?,
            thread("naming", move || {
                // Nobody waits for a daemon's names; of a recording they are the last step.
                if is_daemon {
                    go_last();
                }
                naming.run(&jobs_in);
            })?,
        ];
        Ok((Self { sampler, drain, requests, syscalls, threads }, windows_in))
    }

    /// Stops sampling and lets everything that was taken reach the receiver of windows.
    pub fn finish(self) {
        self.sampler.stop();
        self.drain.stop();
        if let Some(requests) = self.requests {
            requests.stop();
        }
        if let Some(syscalls) = self.syscalls {
            syscalls.stop();
        }
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the pipeline panicked; its last window is lost");
            }
        }
    }
}

/// Symbol tables of other people's files are parsed on these stacks: deep recursion in demangling
/// is bounded, but not by the default of 2 MiB alone.
const STACK_BYTES: usize = 4 << 20;

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, KernelError> {
    let builder = std::thread::Builder::new().name(name.into()).stack_size(STACK_BYTES);
    builder.spawn(run).map_err(|error| KernelError::PerfEvent { what: "a thread", error })
}
