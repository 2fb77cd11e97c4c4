//! Stacks of Go threads that have put their goroutine away; not how threads and goroutines are told.

use std::sync::Arc;

use sonde_ebpf::StackEnd;

use super::Location;
use crate::symbol::Symbol;

/// Asks for more stack, or is told there to give up the processor: on the thread's own stack from
/// there on, with the goroutine's frame pointer.
const SWITCH: &str = "runtime.morestack";
/// Looks for the next goroutine: the one before may run on another thread by now.
const AWAY: &str = "runtime.schedule";

/// Takes the goroutine's frames out of the stack of a thread that no longer runs it: what its frame
/// pointer leads to is another's, or nothing. Frames are leaf first.
#[must_use]
pub fn without_goroutine(end: StackEnd, frames: &mut Vec<Arc<Location>>) -> StackEnd {
    let Some(away) = frames.iter().position(|location| is(location, AWAY)) else { return end };
    let Some(switch) = frames[away..].iter().position(|location| is(location, SWITCH)) else {
        return end;
    };
    frames.truncate(away + switch + 1);
    StackEnd::Complete
}

fn is(location: &Location, name: &str) -> bool {
    let Symbol::Known(functions) = &location.symbol else { return false };
    let plain = |function: &str| function.strip_suffix(".abi0").unwrap_or(function) == name;
    functions.iter().any(|function| plain(&function.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol::{Function, Svma};

    fn stack(names: &[&str]) -> Vec<Arc<Location>> {
        let location = |name: &&str| {
            let name: Arc<str> = (*name).into();
            let function = Function { name: name.clone(), system_name: name, file: None, line: 0 };
            let symbol = Symbol::Known(Arc::new([function]));
            Arc::new(Location { binary: None, address: Svma(1), symbol })
        };
        names.iter().map(location).collect()
    }

    #[test]
    fn a_thread_that_looks_for_work_has_no_goroutine() {
        let mut frames = stack(&[
            "runtime.schedule",
            "runtime.goschedImpl",
            "runtime.newstack",
            "runtime.morestack.abi0",
            "main.gone",
        ]);
        let end = without_goroutine(StackEnd::NoMapping, &mut frames);
        assert_eq!((end, frames.len()), (StackEnd::Complete, 4));
    }

    #[test]
    fn one_that_grows_a_stack_does_it_for_its_goroutine() {
        let mut frames = stack(&["runtime.copystack", "runtime.morestack", "main.deep"]);
        let end = without_goroutine(StackEnd::FramePointerEnd, &mut frames);
        assert_eq!((end, frames.len()), (StackEnd::FramePointerEnd, 3));
    }
}
