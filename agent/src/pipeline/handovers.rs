//! Which files the naming thread has been given, and which of them nobody could open.

use rustc_hash::FxHashMap;

use crate::process::FileIndex;

/// A file that this many processes did not give access to is gone for good.
const MAX_PROCESSES: usize = 8;

/// Files that were handed over, or could not be.
#[derive(Debug, Default)]
pub(super) struct Handovers {
    files: FxHashMap<FileIndex, Handover>,
    window: u32,
}

#[derive(Debug)]
enum Handover {
    Done,
    /// Processes that did not give access to it, and in which window that was.
    Failed(Vec<(u32, u32)>),
}

impl Handovers {
    /// Whether it is worth opening a file through a process. Each is asked once in a window: a stack
    /// of a process that has ended has the same file in many frames.
    pub(super) fn is_due(&self, file: FileIndex, pid: u32) -> bool {
        match self.files.get(&file) {
            Some(Handover::Done) => false,
            Some(Handover::Failed(through)) => {
                through.len() < MAX_PROCESSES && !through.contains(&(pid, self.window))
            }
            None => true,
        }
    }

    pub(super) fn done(&mut self, file: FileIndex) {
        self.files.insert(file, Handover::Done);
    }

    /// A process did not give access to a file.
    pub(super) fn failed(&mut self, file: FileIndex, pid: u32) {
        let handover = self.files.entry(file).or_insert_with(|| Handover::Failed(Vec::new()));
        let Handover::Failed(through) = handover else { return };
        through.retain(|(known, _)| *known != pid);
        through.push((pid, self.window));
    }

    /// A file is nobody's any more, or has to be handed over again.
    pub(super) fn forget(&mut self, file: FileIndex) {
        self.files.remove(&file);
    }

    /// What could not be opened may be by the next window.
    pub(super) fn end_window(&mut self) {
        self.window = self.window.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileIndex = FileIndex(3);

    #[test]
    fn a_process_that_is_gone_counts_once_however_deep_its_stacks_are() {
        let mut handovers = Handovers::default();
        for window in 0..3 * MAX_PROCESSES {
            assert!(handovers.is_due(FILE, 5), "window {window}");
            handovers.failed(FILE, 5);
            assert!(!handovers.is_due(FILE, 5), "the next frame of the same stack");
            handovers.end_window();
        }
        assert!(handovers.is_due(FILE, 6), "another may have it");
        handovers.done(FILE);
        assert!(!handovers.is_due(FILE, 6) && !handovers.is_due(FILE, 5));
        handovers.forget(FILE);
        assert!(handovers.is_due(FILE, 6));
    }

    #[test]
    fn a_file_that_many_processes_gave_no_access_to_is_gone_for_good() {
        let mut handovers = Handovers::default();
        for pid in 0..8 {
            assert!(handovers.is_due(FILE, pid));
            handovers.failed(FILE, pid);
        }
        handovers.end_window();
        assert!((0..100).all(|pid| !handovers.is_due(FILE, pid)));
    }
}
