//! Where the code of each process lies, as the kernel side is told it.

use std::{
    hash::{Hash as _, Hasher as _},
    sync::{Arc, Weak},
};

use rustc_hash::{FxHashMap, FxHasher};
use sonde_ebpf::unwind::{MappedCode, ProcessCode};

use super::ranges::Ranges;
use crate::kernel::{Processes, SharedRecords};

/// The processes that the kernel side knows.
pub struct CodeTable<R, P> {
    records: R,
    processes: P,
    ranges: Ranges,
    known: FxHashMap<u32, Known>,
    /// Runs by what is in them: copies of a process, as servers make them, take no more room.
    by_code: FxHashMap<u64, Weak<Run>>,
    /// Counts calls, to tell what was used longest ago.
    uses: u64,
    refused: u64,
}

struct Known {
    run: Arc<Run>,
    last_use: u64,
}

/// Elements that hold the code of one process, or of several that are copies of one another.
#[derive(Debug)]
struct Run {
    first: u32,
    code: Box<[MappedCode]>,
}

impl<R: SharedRecords<MappedCode>, P: Processes> CodeTable<R, P> {
    /// An empty table over memory that both sides see.
    pub fn new(records: R, processes: P) -> Self {
        let size = u32::try_from(records.size()).unwrap_or(u32::MAX);
        Self {
            records,
            processes,
            ranges: Ranges::new(size),
            known: FxHashMap::default(),
            by_code: FxHashMap::default(),
            uses: 0,
            refused: 0,
        }
    }

    /// Tells the code of a process, sorted by address, as it was at a time. Whether there was room.
    pub fn publish(&mut self, pid: u32, code: Vec<MappedCode>, known_until_ns: u64) -> bool {
        self.uses += 1;
        if let Some(known) = self.known.get_mut(&pid)
            && *known.run.code == code[..]
        {
            // The kernel side forgets a process that becomes another program: tell it again.
            known.last_use = self.uses;
            return self.processes.insert(pid, known.run.process_code(), known_until_ns);
        }
        let run = self.run_of(code);
        self.forget(pid);
        let Some(run) = run else {
            self.refused += 1;
            return false;
        };
        if !self.processes.insert(pid, run.process_code(), known_until_ns) {
            self.drop_run(run);
            self.refused += 1;
            self.make_room();
            return false;
        }
        self.known.insert(pid, Known { run, last_use: self.uses });
        true
    }

    /// A run with this code: that of a copy, or a new one.
    fn run_of(&mut self, code: Vec<MappedCode>) -> Option<Arc<Run>> {
        let hash = hash(&code);
        let copy = self.by_code.get(&hash).and_then(Weak::upgrade);
        if let Some(run) = copy.filter(|run| *run.code == code[..]) {
            return Some(run);
        }
        // What would not fit into an empty table drives nobody out.
        if code.len() > self.records.size() {
            return None;
        }
        let count = u32::try_from(code.len()).ok()?;
        let Some(first) = self.ranges.take(count.max(1)) else {
            self.make_room();
            return None; // What was let go rests for two rounds.
        };
        for (place, mapped) in code.iter().enumerate() {
            self.records.set(first as usize + place, *mapped);
        }
        let run = Arc::new(Run { first, code: code.into() });
        self.by_code.insert(hash, Arc::downgrade(&run));
        Some(run)
    }

    /// Lets go of a quarter of the processes, those used longest ago.
    fn make_room(&mut self) {
        let mut by_use: Vec<(u64, u32)> =
            self.known.iter().map(|(pid, known)| (known.last_use, *pid)).collect();
        by_use.sort_unstable();
        for (_, pid) in by_use.iter().take(by_use.len().div_ceil(4)) {
            self.forget(*pid);
        }
    }

    /// Notes that a process runs.
    pub fn touch(&mut self, pid: u32) {
        self.uses += 1;
        if let Some(known) = self.known.get_mut(&pid) {
            known.last_use = self.uses;
        }
    }

    /// Whether the kernel side was told of a process.
    #[must_use]
    pub fn is_known(&self, pid: u32) -> bool {
        self.known.contains_key(&pid)
    }

    /// A process has ended, or is another program.
    pub fn forget(&mut self, pid: u32) {
        if let Some(known) = self.known.remove(&pid) {
            self.processes.remove(pid);
            self.drop_run(known.run);
        }
    }

    /// Forgets all processes but these.
    pub fn retain(&mut self, mut is_known: impl FnMut(u32) -> bool) {
        let all = self.known.keys().copied();
        let outdated: Vec<u32> = all.filter(|pid| !is_known(*pid)).collect();
        for pid in outdated {
            self.forget(pid);
        }
    }

    fn drop_run(&mut self, run: Arc<Run>) {
        if let Some(run) = Arc::into_inner(run) {
            let count = u32::try_from(run.code.len()).unwrap_or(0);
            self.ranges.give_back(run.first, count.max(1));
            let hash = hash(&run.code);
            // Another run may have the same hash.
            if self.by_code.get(&hash).is_some_and(|known| known.strong_count() == 0) {
                self.by_code.remove(&hash);
            }
        }
    }

    /// A round of the drain thread is over.
    pub fn end_round(&mut self) {
        self.ranges.end_round();
    }

    /// Processes that there was no room for, since the start.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }
}

impl Run {
    fn process_code(&self) -> ProcessCode {
        ProcessCode { first: self.first, count: u32::try_from(self.code.len()).unwrap_or(0) }
    }
}

fn hash(code: &[MappedCode]) -> u64 {
    let mut hasher = FxHasher::default();
    for MappedCode { start, end, bias, directory, kind } in code {
        (start, end, bias, directory, kind).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn code(start: u64, count: u64) -> Vec<MappedCode> {
        let piece = |number| MappedCode {
            start: start + number * 0x1000,
            end: start + number * 0x1000 + 0x800,
            ..MappedCode::default()
        };
        (0..count).map(piece).collect()
    }

    fn table(size: usize) -> CodeTable<Vec<MappedCode>, HashMap<u32, ProcessCode>> {
        CodeTable::new(vec![MappedCode::default(); size], HashMap::new())
    }

    /// What the other side sees of a process.
    fn seen(
        table: &CodeTable<Vec<MappedCode>, HashMap<u32, ProcessCode>>,
        pid: u32,
    ) -> Option<Vec<MappedCode>> {
        let ProcessCode { first, count } = *table.processes.get(&pid)?;
        Some(table.records[first as usize..][..count as usize].to_vec())
    }

    #[test]
    fn the_other_side_sees_what_was_published_last() {
        let mut table = table(16);
        assert!(table.publish(5, code(0x1000, 3), 7));
        assert!(table.publish(5, code(0x9000, 4), 8));
        assert_eq!(seen(&table, 5), Some(code(0x9000, 4)));
        table.forget(5);
        assert_eq!(seen(&table, 5), None);
    }

    #[test]
    fn a_process_that_was_forgotten_over_there_is_told_again() {
        let mut table = table(16);
        table.publish(5, code(0x1000, 3), 7);
        table.processes.clear();
        table.publish(5, code(0x1000, 3), 9);
        assert_eq!(seen(&table, 5), Some(code(0x1000, 3)));
    }

    #[test]
    fn what_is_known_of_nobody_the_other_side_has_forgotten_too() {
        let mut table = table(16);
        for pid in 0..4 {
            assert!(table.publish(pid, code(0x1000 * u64::from(pid + 1), 4), 7));
        }
        table.retain(|pid| pid == 2);
        let told: Vec<u32> = table.processes.keys().copied().collect();
        assert_eq!((told, table.is_known(2), table.is_known(1)), (vec![2], true, false));
        table.end_round();
        table.end_round();
        assert!(table.publish(9, code(0x9000, 8), 8), "their room is free");
    }

    #[test]
    fn copies_of_a_process_take_room_once_and_until_the_last_is_gone() {
        let mut table = table(16);
        for pid in 0..100 {
            assert!(table.publish(pid, code(0x1000, 12), 7), "{pid}");
        }
        (0..99).for_each(|pid| table.forget(pid));
        assert_eq!(seen(&table, 99), Some(code(0x1000, 12)));
        table.forget(99);
        table.end_round();
        table.end_round();
        assert!(table.by_code.is_empty());
        assert!(table.publish(5, code(0x9000, 16), 8), "all of it is free");
    }

    #[test]
    fn a_process_with_more_code_than_the_table_holds_drives_nobody_out() {
        let mut table = table(16);
        assert!(table.publish(1, code(0x1000, 4), 7));
        assert!(!table.publish(2, code(0x1000, 17), 7));
        assert_eq!((table.refused(), seen(&table, 1)), (1, Some(code(0x1000, 4))));
    }

    /// Knows no more than so many processes.
    struct Few(usize, HashMap<u32, ProcessCode>);

    impl Processes for Few {
        fn insert(&mut self, pid: u32, code: ProcessCode, _known_until_ns: u64) -> bool {
            let fits = self.1.len() < self.0 || self.1.contains_key(&pid);
            fits && self.1.insert(pid, code).is_none_or(|_| true)
        }

        fn remove(&mut self, pid: u32) {
            self.1.remove(&pid);
        }
    }

    #[test]
    fn of_too_many_processes_those_are_known_that_run() {
        let records = vec![MappedCode::default(); 64];
        let mut table = CodeTable::new(records, Few(8, HashMap::new()));
        for pid in 0..8 {
            assert!(table.publish(pid, code(0x1000 * u64::from(pid + 1), 2), 7));
        }
        table.touch(0);
        assert!(!table.publish(9, code(0x9000, 2), 8), "no room yet");
        assert_eq!(table.refused(), 1);
        assert!(table.publish(9, code(0x9000, 2), 8), "those used longest ago made room");
        assert!(table.is_known(0) && table.is_known(9) && !table.is_known(1));
    }

    #[test]
    fn a_full_table_makes_room_for_who_runs_by_who_does_not() {
        let mut table = table(16);
        for pid in 0..4 {
            assert!(table.publish(pid, code(0x1000 * u64::from(pid + 1), 4), 7));
        }
        table.touch(0);
        assert!(!table.publish(9, code(0x9000, 4), 8), "no room yet");
        assert_eq!(table.refused(), 1);
        table.end_round();
        table.end_round();
        assert!(table.publish(9, code(0x9000, 4), 8));
        assert_eq!(seen(&table, 1), None, "used longest ago");
        assert!(seen(&table, 0).is_some());
    }
}
