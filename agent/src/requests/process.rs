//! Whose requests these are: the processes that hold the connections, as resources of their spans.

use std::path::PathBuf;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use sonde_ebpf::limits::COMM_BYTES;

use crate::process::{Identity, start_ticks};

/// How long a name found in `/proc` holds.
const NAME_NS: u64 = 60 * 1_000_000_000;

/// What is said of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Process id as userspace says it.
    pub pid: u32,
    /// When it began, in ticks since the boot; 0 if that is not known.
    pub start_ticks: u64,
    /// Service and container.
    pub identity: Identity,
}

/// The processes that were asked for.
pub(super) struct Processes {
    proc_root: PathBuf,
    known: FxHashMap<u32, Known>,
}

struct Known {
    process: Arc<Process>,
    until_ns: u64,
}

impl Processes {
    pub(super) fn new(proc_root: PathBuf) -> Self {
        Self { proc_root, known: FxHashMap::default() }
    }

    /// What is said of a process, which is found out while it is there. One that is gone keeps what
    /// was known, or has the name of its thread.
    pub(super) fn get(&mut self, pid: u32, comm: [u8; COMM_BYTES], now_ns: u64) -> Arc<Process> {
        let known = self.known.get(&pid);
        if let Some(known) = known.filter(|known| now_ns < known.until_ns) {
            return Arc::clone(&known.process);
        }
        let before = known.map(|known| Arc::clone(&known.process));
        let process = match Identity::of_process(&self.proc_root, pid) {
            Some(identity) => {
                let start_ticks = start_ticks(&self.proc_root, pid).unwrap_or(0);
                let process = Process { pid, start_ticks, identity };
                // Spans of one process share one.
                before.filter(|before| **before == process).unwrap_or_else(|| Arc::new(process))
            }
            None => before.unwrap_or_else(|| {
                let identity = Identity::of_thread(comm);
                Arc::new(Process { pid, start_ticks: 0, identity })
            }),
        };
        let known = Known { process: Arc::clone(&process), until_ns: now_ns + NAME_NS };
        self.known.insert(pid, known);
        process
    }

    /// What was said last.
    pub(super) fn last(&self, pid: u32) -> Option<&Arc<Process>> {
        self.known.get(&pid).map(|known| &known.process)
    }

    /// Forgets those that were not asked for in a while.
    pub(super) fn expire(&mut self, now_ns: u64) {
        self.known.retain(|_, known| now_ns < known.until_ns + NAME_NS);
    }
}
