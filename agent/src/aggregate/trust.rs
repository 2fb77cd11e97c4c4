//! What a named window says about how far it can be trusted.

use std::{collections::BTreeMap, sync::Arc};

use sonde_ebpf::StackEnd;

use super::{Location, Trust, TrustCount};
use crate::symbol::Symbol;

/// Collects the counts of one window, stack by stack.
#[derive(Debug, Default)]
pub struct TrustTally {
    stacks: BTreeMap<(&'static str, Arc<str>), u64>,
    frames: BTreeMap<(&'static str, Arc<str>), u64>,
}

/// Functions that a thread begins in. A chain of frame pointers that ends in one is whole.
const THREAD_STARTS: [&str; 13] = [
    "_start",
    // What `_start` calls: the chain of frame pointers is cut there, where no function of the
    // program is missing any more.
    "__libc_start_call_main",
    "__libc_start_main_impl",
    "__libc_start_main",
    "_dl_start_user",
    "start_thread",
    "__clone3",
    "__clone",
    "clone3",
    "clone",
    "thread_start",
    "runtime.goexit.abi0",
    "runtime.goexit",
];

impl TrustTally {
    /// Counts `count` samples of a stack, whose frames are leaf first.
    pub fn add(&mut self, service: &Arc<str>, end: StackEnd, frames: &[Arc<Location>], count: u64) {
        let reason = reason(end, frames.last().map(|location| &location.symbol));
        *self.stacks.entry((reason, Arc::clone(service))).or_default() += count;
        for location in frames {
            let label = match &location.symbol {
                Symbol::Known(_) => "named",
                Symbol::Unknown(reason) => reason.label(),
            };
            *self.frames.entry((label, Arc::clone(service))).or_default() += count;
        }
    }

    /// The counts, in the order of their labels. What was lost and what it cost is added by those
    /// who know.
    #[must_use]
    pub fn finish(self) -> Trust {
        let counts = |tally: BTreeMap<(&'static str, Arc<str>), u64>| {
            let counts = tally.into_iter();
            counts.map(|((reason, service), count)| TrustCount { reason, service, count }).collect()
        };
        Trust { stacks: counts(self.stacks), frames: counts(self.frames), ..Trust::default() }
    }
}

fn reason(end: StackEnd, outermost: Option<&Symbol>) -> &'static str {
    // Nothing is missing of such a stack, but it is told apart: it says no word of a program.
    if end == StackEnd::InExec {
        return end.label();
    }
    if is_complete(end, outermost) { StackEnd::Complete.label() } else { end.label() }
}

/// Whether a stack that ends so, in this function, is whole.
pub(super) fn is_complete(end: StackEnd, outermost: Option<&Symbol>) -> bool {
    match (end, outermost) {
        // There is no user stack, and the kernel's is always whole.
        (StackEnd::Complete | StackEnd::KernelThread | StackEnd::InExec, _) => true,
        (StackEnd::FramePointerEnd, Some(Symbol::Known(functions))) => {
            functions.last().is_some_and(|f| THREAD_STARTS.contains(&&*f.name))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol::{Function, Svma, UnknownReason};

    fn location(symbol: Symbol) -> Arc<Location> {
        Arc::new(Location { binary: None, address: Svma(1), symbol })
    }

    fn named(name: &str) -> Arc<Location> {
        let function =
            Function { name: name.into(), system_name: name.into(), file: None, line: 0 };
        location(Symbol::Known(Arc::new([function])))
    }

    #[test]
    fn a_chain_of_frame_pointers_is_whole_only_if_it_ends_where_threads_begin() {
        let service: Arc<str> = "shop".into();
        let mut tally = TrustTally::default();
        tally.add(&service, StackEnd::FramePointerEnd, &[named("main"), named("_start")], 3);
        tally.add(&service, StackEnd::FramePointerEnd, &[named("qsort")], 2);
        tally.add(&service, StackEnd::KernelThread, &[named("kthread")], 1);
        let stripped = location(Symbol::Unknown(UnknownReason::Stripped));
        tally.add(&service, StackEnd::Truncated, &[stripped], 5);
        tally.add(&service, StackEnd::InExec, &[named("bprm_execve")], 6);
        let trust = tally.finish();
        let stacks: Vec<_> = trust.stacks.iter().map(|stack| (stack.reason, stack.count)).collect();
        let expected =
            [("complete", 4), ("frame_pointers_lost", 2), ("in_exec", 6), ("truncated", 5)];
        assert_eq!(stacks, expected);
        let frames: Vec<_> = trust.frames.iter().map(|frame| (frame.reason, frame.count)).collect();
        assert_eq!(frames, [("named", 15), ("stripped", 5)]);
    }
}
