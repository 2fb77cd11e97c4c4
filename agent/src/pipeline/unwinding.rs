//! Unwinding as the capture thread uses it: the ends of stacks that the kernel side could not reach,
//! and what the kernel side is told so that it can reach them next time.

use rustc_hash::{FxHashMap, FxHashSet};
use sonde_ebpf::{
    StackEnd,
    unwind::{DirectoryEntry, MappedCode},
};

use crate::{
    kernel::{KernelError, Programs, SharedArena, SharedArray, SharedEpoch, SharedProcesses},
    process::{CodeFile, FileIndex, ProcessTable},
    record::{ProcessEvent, ProcessEventKind, Sample},
    symbol::{elf::ElfFile, vdso},
    telemetry::UnwindMetrics,
    unwind::{UnwindCounts, Unwinder},
};

/// A process with more regions than this is told to the kernel side at most once in
/// [`REPUBLISH_NS`]: meanwhile its new regions are unwound here.
const MANY_REGIONS: usize = 256;
const REPUBLISH_NS: u64 = 1_000_000_000;

/// Regions without an event that are looked for to complete one stack.
const MAX_LOOKS: usize = 4;

/// The capture thread's part of unwinding.
pub(super) struct Unwinding {
    unwinder: Unwinder<
        SharedArena,
        SharedArray<DirectoryEntry>,
        SharedArray<MappedCode>,
        SharedProcesses,
    >,
    epoch: SharedEpoch,
    windows: u32,
    /// Processes that the kernel side is to be told of when the batch is over.
    untold: FxHashSet<u32>,
    /// When a process with many regions may be told again.
    not_before: FxHashMap<u32, u64>,
    /// Stacks completed here in this window.
    resumed: u64,
    counted: UnwindCounts,
}

/// What has become of a process that the kernel side may have been told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    HasMore,
    IsAnother,
    /// And so may all others: the table of processes has forgotten those that run.
    MayBeAnything,
}

impl Told {
    const fn after(event: &ProcessEventKind) -> Self {
        match event {
            ProcessEventKind::Mapped(_) => Self::HasMore,
            // A fork, too: its pid may have been that of a process whose exit got lost.
            ProcessEventKind::Exec { .. }
            | ProcessEventKind::Exited
            | ProcessEventKind::Forked { .. } => Self::IsAnother,
            ProcessEventKind::Lost { .. } => Self::MayBeAnything,
        }
    }
}

impl Unwinding {
    pub(super) fn new(programs: &mut Programs) -> Result<Self, KernelError> {
        let (memory, epoch) = programs.take_unwind_memory()?;
        Ok(Self {
            unwinder: Unwinder::new(memory),
            epoch,
            windows: 0,
            untold: FxHashSet::default(),
            not_before: FxHashMap::default(),
            resumed: 0,
            counted: UnwindCounts::default(),
        })
    }

    /// Takes note of what happened to a process, after the table has.
    pub(super) fn event(&mut self, event: &ProcessEvent) {
        let pid = event.pid;
        match Told::after(&event.kind) {
            Told::HasMore => {
                if self.unwinder.is_published(pid) {
                    self.untold.insert(pid);
                }
            }
            Told::IsAnother => {
                self.unwinder.forget_process(pid);
                self.untold.remove(&pid);
                self.not_before.remove(&pid);
            }
            Told::MayBeAnything => self.retain(|_| false),
        }
    }

    /// Of the processes that the kernel side was told of it must keep these alone, and of these it
    /// must know all: files that are forgotten next leave their place in the directory to others.
    pub(super) fn retain_processes(&mut self, table: &ProcessTable) {
        let untold = std::mem::take(&mut self.untold);
        self.retain(|pid| table.mappings(pid).is_some() && !untold.contains(&pid));
        self.untold = untold;
    }

    fn retain(&mut self, mut is_known: impl FnMut(u32) -> bool) {
        self.untold.retain(|pid| is_known(*pid));
        self.not_before.retain(|pid, _| is_known(*pid));
        self.unwinder.retain_processes(is_known);
    }

    /// Completes a sample's user stack. Its process must have been attributed before.
    pub(super) fn complete(&mut self, table: &mut ProcessTable, sample: &mut Sample) {
        let pid = sample.pid;
        if sample.user_stack.is_empty() {
            return;
        }
        let understood =
            !matches!(sample.stack_end, StackEnd::NoMapping | StackEnd::ProcessUnknown);
        if understood && self.unwinder.is_published(pid) {
            self.unwinder.touch(pid);
        } else {
            self.untold.insert(pid);
        }
        let Some(rest) = sample.rest.take() else { return };
        let begun = std::mem::take(&mut sample.user_stack);
        let mut looks = 0;
        loop {
            let mut stack = begun.to_vec();
            if let Some(mappings) = table.mappings(pid) {
                let open = |file, address| open(table, pid, file, address);
                sample.stack_end =
                    self.unwinder.resume(&rest.resume, &rest.stack, &mappings, &mut stack, open);
            }
            sample.user_stack = stack.into();
            looks += 1;
            let unmapped = sample.stack_end == StackEnd::NoMapping && looks <= MAX_LOOKS;
            if !(unmapped && self.find_outermost(table, sample)) {
                break;
            }
        }
        self.resumed += 1;
    }

    /// Looks for the region of the last frame, which no event told of. Whether there is one.
    fn find_outermost(&mut self, table: &mut ProcessTable, sample: &Sample) -> bool {
        let [.., address] = *sample.user_stack else { return false };
        // A return address may be the first behind a region.
        let address = address.wrapping_sub(u64::from(sample.user_stack.len() > 1));
        let found = table.look_for(sample.pid, address, sample.boot_ns);
        if found {
            self.untold.insert(sample.pid);
        }
        found
    }

    /// The batch is over: what is told now holds for processes that became no other program after
    /// `known_until_ns`.
    pub(super) fn end_batch(
        &mut self,
        table: &ProcessTable,
        now_boot_ns: u64,
        known_until_ns: u64,
    ) {
        self.unwinder.end_round();
        for pid in std::mem::take(&mut self.untold) {
            let Some(mappings) = table.mappings(pid) else { continue };
            if self.not_before.get(&pid).is_some_and(|time| now_boot_ns < *time) {
                self.untold.insert(pid);
                continue;
            }
            if mappings.regions().count() > MANY_REGIONS {
                self.not_before.insert(pid, now_boot_ns + REPUBLISH_NS);
            }
            let open = |file, address| open(table, pid, file, address);
            if !self.unwinder.publish(pid, &mappings, known_until_ns, open) {
                tracing::debug!(pid, "no room to tell the kernel side of a process");
            }
        }
    }

    /// A window is over.
    pub(super) fn end_window(&mut self, metrics: &UnwindMetrics) {
        self.windows = self.windows.wrapping_add(1);
        self.epoch.set(self.windows);
        self.unwinder.set_epoch(self.windows);
        self.count(metrics);
    }

    fn count(&mut self, metrics: &UnwindMetrics) {
        let now = self.unwinder.counts();
        let before = std::mem::replace(&mut self.counted, now);
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.table_bytes.set(gauge(now.arena.used_bytes));
        metrics.table_limit_bytes.set(gauge(now.arena.size_bytes));
        metrics.pages.set(gauge(now.arena.pages));
        metrics.pages_built.inc_by(now.pages_built - before.pages_built);
        metrics.pages_evicted.inc_by(now.arena.evicted - before.arena.evicted);
        metrics.processes_refused.inc_by(now.processes_refused - before.processes_refused);
        metrics.files_refused.inc_by(now.files_refused - before.files_refused);
        metrics.stacks_resumed.inc_by(std::mem::take(&mut self.resumed));
    }

    pub(super) fn forget_file(&mut self, file: FileIndex) {
        self.unwinder.forget_file(file);
    }
}

fn open(table: &ProcessTable, pid: u32, file: CodeFile, address: u64) -> Option<ElfFile> {
    match file {
        CodeFile::Vdso => vdso::read_own().ok(),
        CodeFile::File(index) => {
            let opened = table.open(pid, index, address);
            let opened = opened.inspect_err(|error| {
                tracing::debug!(%error, pid, "no tables from a file that can't be opened");
            });
            ElfFile::open(opened.ok()?).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_another_process_is_forgotten_and_all_are_when_events_got_lost() {
        let after = |event| Told::after(&event);
        assert_eq!(after(ProcessEventKind::Exited), Told::IsAnother);
        assert_eq!(after(ProcessEventKind::Exec { comm: "next".into() }), Told::IsAnother);
        assert_eq!(after(ProcessEventKind::Forked { parent: 7 }), Told::IsAnother);
        assert_eq!(after(ProcessEventKind::Lost { events: 1 }), Told::MayBeAnything);
    }
}
