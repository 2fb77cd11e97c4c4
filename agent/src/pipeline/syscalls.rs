//! The thread that reads what the kernel has counted of system calls, and says when it counts every
//! call. Where the kernel refuses, profiling goes on without it.
//!
//! Counting every call makes each slower, so it is done in bursts: in each period there is one, at a
//! random moment, and what it counts stands for the whole period. A burst that has cost enough is ended
//! early and stands for the period all the same. Calls that began before a burst or end after it are
//! not counted.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{Counters, thread};
use crate::{
    kernel::{KernelError, Programs, SyscallCalls, SyscallCounts, SyscallKind, boot_ns},
    process::Cgroups,
    syscalls::{SyscallAccount, SyscallMode},
    telemetry::{BurstLabels, ProgramLabels},
};

/// How often counts are read.
const READ: Duration = Duration::from_secs(10);
/// There is one burst in so long.
const PERIOD: Duration = Duration::from_secs(20);
/// How long a burst lasts if it does not cost too much.
const BURST: Duration = Duration::from_secs(1);
/// How often a burst's cost is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// CPU time of the programs that ends a burst: half a percent of one CPU.
const BUDGET_NS: u64 = 100_000_000;

/// The running thread.
pub(super) struct Syscalls {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Syscalls {
    /// Starts counting; `None` where nothing is to be counted or, with a word in the log, can be.
    pub(super) fn start(
        mode: SyscallMode,
        window: Option<Duration>,
        programs: &mut Programs,
        counters: &Counters,
    ) -> Option<Self> {
        if mode == SyscallMode::Off {
            return None;
        }
        let started = Self::try_start(mode, window, programs, counters);
        if let Err(error) = &started {
            tracing::warn!(%error, "system calls are not timed");
        }
        started.ok()
    }

    fn try_start(
        mode: SyscallMode,
        window: Option<Duration>,
        programs: &mut Programs,
        counters: &Counters,
    ) -> Result<Self, KernelError> {
        let calls = match mode {
            SyscallMode::Off | SyscallMode::Waits => None,
            SyscallMode::Sampled | SyscallMode::Always => Some(programs.load_syscall_calls()?),
        };
        programs.start_syscall_waits()?;
        let (metrics, cgroups) = (counters.metrics.syscalls.clone(), Cgroups::of_host());
        let reader = Reader {
            counts: programs.take_syscall_counts()?,
            account: SyscallAccount::new("/proc".into(), cgroups, metrics),
            counters: counters.clone(),
            told_ns: [0; 2],
        };
        let read = window.unwrap_or(READ).min(READ);
        let (stop, stopped) = sync_channel(1);
        let thread = thread("syscalls", move || match (mode, calls) {
            (SyscallMode::Always, Some(mut calls)) => reader.always(&mut calls, read, &stopped),
            (_, Some(mut calls)) => reader.sampled(&mut calls, read, &stopped),
            (_, None) => reader.waits(read, &stopped),
        })?;
        Ok(Self { stop, thread })
    }

    /// Lets everything that was counted be told.
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread that reads counts of system calls panicked");
        }
    }
}

struct Reader {
    counts: SyscallCounts,
    account: SyscallAccount,
    counters: Counters,
    /// What the programs had cost at the last look.
    told_ns: [u64; 2],
}

/// Whether to go on.
fn pause(until: Instant, stopped: &Receiver<()>) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    matches!(stopped.recv_timeout(left), Err(RecvTimeoutError::Timeout))
}

impl Reader {
    fn waits(mut self, read: Duration, stopped: &Receiver<()>) {
        while pause(Instant::now() + read, stopped) {
            self.read(SyscallKind::Wait, 1.0);
        }
        self.read(SyscallKind::Wait, 1.0);
    }

    fn always(mut self, calls: &mut SyscallCalls, read: Duration, stopped: &Receiver<()>) {
        let attached = calls.attach();
        if let Err(error) = &attached {
            tracing::warn!(%error, "only sleeps in system calls are timed");
        }
        self.counters.metrics.syscall_sampling.set(if attached.is_ok() { 1.0 } else { 0.0 });
        let mut goes_on = true;
        while goes_on {
            goes_on = pause(Instant::now() + read, stopped);
            self.read(SyscallKind::Wait, 1.0);
            self.read(SyscallKind::Call, 1.0);
        }
    }

    fn sampled(mut self, calls: &mut SyscallCalls, read: Duration, stopped: &Receiver<()>) {
        let random = RandomState::new();
        let mut period = Instant::now();
        for number in 0_u64.. {
            let burst = period + start_of_burst(random.hash_one(number));
            let goes_on = self.read_waits_until(burst, read, stopped)
                && self.burst(calls, stopped)
                && self.read_waits_until(period + PERIOD, read, stopped);
            if !goes_on {
                break;
            }
            period += PERIOD;
        }
        self.read(SyscallKind::Wait, 1.0);
    }

    /// Whether to go on.
    fn read_waits_until(&mut self, until: Instant, read: Duration, stopped: &Receiver<()>) -> bool {
        loop {
            let next = Instant::now() + read;
            if next >= until {
                return pause(until, stopped);
            }
            if !pause(next, stopped) {
                return false;
            }
            self.read(SyscallKind::Wait, 1.0);
        }
    }

    /// Counts every call for a while. Whether to go on.
    fn burst(&mut self, calls: &mut SyscallCalls, stopped: &Receiver<()>) -> bool {
        let before_ns = self.counts.cost_ns(SyscallKind::Call);
        let attached = match calls.attach() {
            Ok(attached) => attached,
            Err(error) => {
                tracing::warn!(%error, "system calls are not counted this time");
                return true;
            }
        };
        let begun = Instant::now();
        let (mut goes_on, mut end) = (true, "whole");
        while goes_on && begun.elapsed() < BURST {
            if self.counts.cost_ns(SyscallKind::Call).saturating_sub(before_ns) > BUDGET_NS {
                end = "budget";
                break;
            }
            goes_on = pause((Instant::now() + LOOK).min(begun + BURST), stopped);
        }
        let observed = begun.elapsed();
        drop(attached);
        self.counters.metrics.syscall_bursts.get_or_create(&BurstLabels { end }).inc();
        let factor = PERIOD.as_secs_f64() / observed.as_secs_f64();
        self.counters.metrics.syscall_sampling.set(factor);
        self.read(SyscallKind::Call, factor);
        goes_on
    }

    fn read(&mut self, kind: SyscallKind, scale: f64) {
        let counted = self.counts.read(kind);
        let gone = self.account.take(kind, &counted, scale, boot_ns());
        for key in gone {
            if self.counts.remove(kind, &key) {
                self.account.removed(kind, &key);
            }
        }
        self.account.expire(boot_ns());
        let cost_ns = self.counts.cost_ns(kind);
        let told_ns = std::mem::replace(&mut self.told_ns[kind as usize], cost_ns);
        let program = match kind {
            SyscallKind::Wait => "syscall_waits",
            SyscallKind::Call => "syscalls",
        };
        let seconds = Duration::from_nanos(cost_ns.saturating_sub(told_ns)).as_secs_f64();
        let labels = ProgramLabels { program };
        self.counters.metrics.bpf_run_seconds.get_or_create(&labels).inc_by(seconds);
    }
}

/// Somewhere in a period, so that the burst ends in it.
fn start_of_burst(random: u64) -> Duration {
    let room = u64::try_from((PERIOD - BURST).as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(random % room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_somewhere_in_its_period_and_ends_in_it() {
        let starts: Vec<Duration> = (0..1000_u64)
            .map(|number| start_of_burst(RandomState::new().hash_one(number)))
            .collect();
        assert!(starts.iter().all(|start| *start + BURST <= PERIOD));
        let early = starts.iter().filter(|start| **start < (PERIOD - BURST) / 2).count();
        assert!((350..650).contains(&early), "{early} of 1000 in the first half");
    }
}
