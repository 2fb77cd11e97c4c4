//! Whose samples count: everybody's, or those of some processes and what they start.

use std::collections::HashSet;

use crate::record::{ProcessEvent, ProcessEventKind};

/// The processes of interest.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// `None` for everybody.
    pids: Option<HashSet<u32>>,
    /// A process that is only followed: its children count, it does not.
    parent: Option<u32>,
}

impl Targets {
    /// Every process of the host.
    #[must_use]
    pub const fn everybody() -> Self {
        Self { pids: None, parent: None }
    }

    /// These processes, and the processes they start from now on.
    #[must_use]
    pub fn processes(pids: impl IntoIterator<Item = u32>) -> Self {
        Self { pids: Some(pids.into_iter().collect()), parent: None }
    }

    /// The processes that `pid` starts from now on, and what those start.
    #[must_use]
    pub fn children_of(pid: u32) -> Self {
        Self { pids: Some(HashSet::from([pid])), parent: Some(pid) }
    }

    /// Follows forks. A pid that is given to a process of no interest is of none from then on.
    pub(super) fn follow(&mut self, event: &ProcessEvent) {
        let (Some(pids), ProcessEventKind::Forked { parent }) = (&mut self.pids, &event.kind)
        else {
            return;
        };
        if pids.contains(parent) {
            pids.insert(event.pid);
        } else {
            pids.remove(&event.pid);
        }
    }

    /// Whether samples of the process count.
    pub(super) fn include(&self, pid: u32) -> bool {
        self.pids.as_ref().is_none_or(|pids| pids.contains(&pid) && self.parent != Some(pid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fork(parent: u32, pid: u32) -> ProcessEvent {
        ProcessEvent { pid, boot_ns: 0, kind: ProcessEventKind::Forked { parent } }
    }

    #[test]
    fn children_count_until_their_pid_belongs_to_a_stranger() {
        let mut targets = Targets::processes([5]);
        targets.follow(&fork(5, 6));
        targets.follow(&fork(6, 7));
        assert!(targets.include(7) && !targets.include(8));
        targets.follow(&fork(1, 7));
        assert!(!targets.include(7) && targets.include(6));
    }

    #[test]
    fn a_parent_that_is_only_followed_does_not_count_itself() {
        let mut targets = Targets::children_of(5);
        targets.follow(&fork(5, 6));
        assert!(targets.include(6) && !targets.include(5));
    }

    #[test]
    fn everybody_counts_when_nobody_is_named() {
        assert!(Targets::everybody().include(1));
    }
}
