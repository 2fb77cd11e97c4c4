//! What a window holds once it is closed and named: the input of every encoder.

use std::sync::Arc;

use sonde_ebpf::{DropReason, StackEnd};

use crate::symbol::{Svma, Symbol, SymbolSource};

impl ServiceProfile {
    /// Samples in the profile.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.stacks.iter().map(|stack| stack.count).sum()
    }
}

impl Trust {
    /// Samples that were lost.
    #[must_use]
    pub fn lost_samples(&self) -> u64 {
        let of_samples = self.lost.iter().filter(|(reason, _)| reason.loses_samples());
        of_samples.map(|(_, count)| count).sum()
    }
}

/// All that was sampled on this host in one window, named.
#[derive(Clone, Debug)]
pub struct ProfileWindow {
    /// Start of the window, wall time, in nanoseconds since 1970.
    pub start_unix_ns: u64,
    /// Length of the window in nanoseconds.
    pub duration_ns: u64,
    /// What one sample stands for, in nanoseconds of CPU time.
    pub period_ns: u64,
    /// One profile for each distinct set of labels.
    pub services: Vec<ServiceProfile>,
    /// Where the names in each file come from. Filled for recordings, which people look at.
    pub sources: Vec<(Arc<Binary>, SymbolSource)>,
    /// What is to be known about how far the window can be trusted.
    pub trust: Trust,
}

/// The samples of one service on this host.
#[derive(Clone, Debug)]
pub struct ServiceProfile {
    /// Labels of the series, sorted by name: `service_name`, `host`, `container_id`, …
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// Distinct stacks with their counts.
    pub stacks: Vec<StackCount>,
}

/// One distinct stack and how often it was seen.
#[derive(Clone, Debug)]
pub struct StackCount {
    /// Leaf first: kernel frames, then user frames.
    pub frames: Vec<Arc<Location>>,
    /// Process id, where the process lived long enough for it to be worth a label.
    pub pid: Option<u32>,
    /// Name of the thread.
    pub thread: Arc<str>,
    /// Why the user stack ends where it does.
    pub end: StackEnd,
    /// Number of samples.
    pub count: u64,
}

/// One address in one binary, and what it is called. Two locations are the same when `binary`
/// (by pointer), `address` and `symbol` are.
#[derive(Clone, Debug)]
pub struct Location {
    /// The file the address lies in; `None` where no file backs it.
    pub binary: Option<Arc<Binary>>,
    /// The address in the file's own counting; the raw address where there is no file.
    pub address: Svma,
    /// Its name, or why it has none.
    pub symbol: Symbol,
}

/// A file that is mapped executable, or the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Binary {
    /// Path as the process sees it; `[kernel]`, `[vdso]`, `[jit]` and module names in brackets.
    pub path: Arc<str>,
    /// GNU build id in lower-case hex, or empty.
    pub build_id: Arc<str>,
}

/// Counts that say what is missing from a window, and what taking it cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// How stacks ended, by reason and service.
    pub stacks: Vec<TrustCount>,
    /// Frames by what became of them: `named`, or the label of an unknown reason, and service.
    pub frames: Vec<TrustCount>,
    /// What was lost on the way, by reason.
    pub lost: Vec<(DropReason, u64)>,
    /// CPU time of the agent itself in this window, user and kernel, in nanoseconds.
    pub agent_cpu_ns: u64,
    /// CPU time of the agent's BPF programs in this window, in nanoseconds; 0 where the kernel
    /// does not keep the account.
    pub bpf_cpu_ns: u64,
}

/// One counted fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustCount {
    /// The label of the reason.
    pub reason: &'static str,
    /// The service concerned; empty where it concerns the host.
    pub service: Arc<str>,
    /// How often.
    pub count: u64,
}
