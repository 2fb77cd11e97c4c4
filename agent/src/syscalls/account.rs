//! What was counted since the last look, and whose it was.

use std::path::PathBuf;

use rustc_hash::{FxHashMap, FxHashSet};
use sonde_ebpf::syscall::{BUCKETS, SyscallHistogram, SyscallKey};

use super::{SyscallLabels, SyscallMetrics, error_name, syscall_name};
use crate::{
    kernel::SyscallKind,
    process::{Cgroups, Identity},
};

/// How long a name found in `/proc` holds.
const NAME_NS: u64 = 60 * 1_000_000_000;

/// The kernel's counts as they were at the last look, and the names of their processes.
pub struct SyscallAccount {
    proc_root: PathBuf,
    cgroups: Cgroups,
    metrics: SyscallMetrics,
    seen: [FxHashMap<SyscallKey, Seen>; 2],
    names: FxHashMap<u32, Name>,
}

#[derive(Clone, Copy)]
struct Seen {
    sum_ns: u64,
    buckets: [u32; BUCKETS],
}

struct Name {
    identity: Identity,
    until_ns: u64,
}

impl SyscallAccount {
    /// Nothing seen yet. Processes are named by what `proc_root` and `cgroups` tell.
    #[must_use]
    pub fn new(proc_root: PathBuf, cgroups: Cgroups, metrics: SyscallMetrics) -> Self {
        Self { proc_root, cgroups, metrics, seen: <_>::default(), names: FxHashMap::default() }
    }

    /// Takes in the kernel's counts: what is more than last time stands for `scale` times as much.
    /// Returns the keys that will not be counted under any more and can be removed.
    pub fn take(
        &mut self,
        kind: SyscallKind,
        counted: &[(SyscallKey, SyscallHistogram)],
        scale: f64,
        now_ns: u64,
    ) -> Vec<SyscallKey> {
        let mut gone = Vec::new();
        let mut alive: FxHashMap<u32, bool> = FxHashMap::default();
        for (key, histogram) in counted {
            let new = self.difference(kind, *key, histogram);
            if new.buckets.iter().all(|count| *count == 0) {
                let root = &self.proc_root;
                let is_alive = || root.join(key.pid.to_string()).exists();
                if !*alive.entry(key.pid).or_insert_with(is_alive) {
                    gone.push(*key);
                }
                continue;
            }
            let identity = self.identity(key.pid, histogram, now_ns);
            let labels = SyscallLabels::Of {
                service: identity.service,
                container_id: identity.container_id,
                syscall: syscall_name(key.number),
                error: error_name(key.error),
            };
            self.metrics.add(kind, labels, (new.sum_ns, &new.buckets), scale, now_ns);
        }
        gone
    }

    /// Forgets a key that was removed: if it comes again, it counts from nothing.
    pub fn removed(&mut self, kind: SyscallKind, key: &SyscallKey) {
        self.seen[kind as usize].remove(key);
    }

    /// Forgets names and series that are old.
    pub fn expire(&mut self, now_ns: u64) {
        let used: FxHashSet<u32> = self.seen.iter().flatten().map(|(key, _)| key.pid).collect();
        self.names.retain(|pid, name| now_ns < name.until_ns || used.contains(pid));
        self.metrics.expire(now_ns);
    }

    /// What is more than at the last look.
    fn difference(
        &mut self,
        kind: SyscallKind,
        key: SyscallKey,
        histogram: &SyscallHistogram,
    ) -> Seen {
        let now = Seen { sum_ns: histogram.sum_ns, buckets: histogram.buckets };
        let before = self.seen[kind as usize].insert(key, now);
        let before = before.unwrap_or(Seen { sum_ns: 0, buckets: [0; BUCKETS] });
        Seen {
            sum_ns: now.sum_ns.saturating_sub(before.sum_ns),
            // The kernel keeps the last 32 bits.
            buckets: std::array::from_fn(|at| now.buckets[at].wrapping_sub(before.buckets[at])),
        }
    }

    /// Who it is. One that is gone keeps the name that it had, or has that of its thread.
    fn identity(&mut self, pid: u32, histogram: &SyscallHistogram, now_ns: u64) -> Identity {
        let known = self.names.get(&pid);
        if let Some(name) = known.filter(|name| now_ns < name.until_ns) {
            return name.identity.clone();
        }
        let known = known.map(|name| name.identity.clone());
        let identity = Identity::of_process(&self.proc_root, pid).or(known).unwrap_or_else(|| {
            Identity::of_gone(histogram.comm, histogram.cgroup_id, &mut self.cgroups)
        });
        let name = Name { identity: identity.clone(), until_ns: now_ns + NAME_NS };
        self.names.insert(pid, name);
        identity
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Watched {
        account: SyscallAccount,
        metrics: SyscallMetrics,
        proc_root: tempfile::TempDir,
    }

    impl Watched {
        fn new() -> Self {
            let proc_root = tempfile::tempdir().expect("a directory");
            let metrics = SyscallMetrics::default();
            let cgroups = Cgroups::new(proc_root.path().join("cgroup"));
            let account = SyscallAccount::new(proc_root.path().into(), cgroups, metrics.clone());
            Self { account, metrics, proc_root }
        }

        fn take(&mut self, count: u32, scale: f64) -> Vec<SyscallKey> {
            self.account.take(SyscallKind::Call, &[(KEY, counted(count))], scale, 5)
        }

        /// Name, error, and how many, of all series.
        fn told(&self) -> Vec<(String, f64)> {
            let mut told = Vec::new();
            self.metrics.visit(SyscallKind::Call, |labels, totals| {
                let SyscallLabels::Of { service, syscall, error, .. } = labels else { return };
                told.push((format!("{service} {syscall} {error}"), totals.buckets.iter().sum()));
            });
            told
        }
    }

    const KEY: SyscallKey = SyscallKey { pid: 7, number: 0, error: 11 };

    fn counted(count: u32) -> SyscallHistogram {
        let mut comm = [0; 16];
        comm[..4].copy_from_slice(b"shop");
        let mut buckets = [0; BUCKETS];
        buckets[3] = count;
        SyscallHistogram { sum_ns: 9, cgroup_id: 0, comm, buckets }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn what_is_more_than_last_time_counts_and_a_counter_may_wrap() {
        let mut watched = Watched::new();
        watched.take(u32::MAX - 1, 1.0);
        watched.take(3, 1.0);
        let all = f64::from(u32::MAX) + 4.0;
        assert_eq!(watched.told(), [("shop read EAGAIN".to_owned(), all)]);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn what_a_burst_counted_stands_for_more() {
        let mut watched = Watched::new();
        watched.take(4, 20.0);
        watched.take(6, 10.0);
        assert_eq!(watched.told(), [("shop read EAGAIN".to_owned(), 100.0)]);
    }

    #[test]
    fn counts_of_a_process_are_removed_when_it_is_gone_and_all_was_told() {
        let mut watched = Watched::new();
        let process = watched.proc_root.path().join("7");
        fs::create_dir(&process).expect("made");
        assert_eq!(watched.take(4, 1.0), []);
        assert_eq!(watched.take(4, 1.0), [], "it is still there");
        fs::remove_dir_all(&process).expect("removed");
        assert_eq!(watched.take(5, 1.0), [], "one was not told");
        assert_eq!(watched.take(5, 1.0), [KEY]);
        assert_eq!(watched.take(5, 1.0), [KEY], "it was not removed");
        watched.account.removed(SyscallKind::Call, &KEY);
        watched.take(2, 1.0);
        let counts: Vec<f64> = watched.told().into_iter().map(|(_, count)| count).collect();
        assert_eq!(counts, [7.0], "counted from nothing again");
    }
}
