//! Stacks taken while the kernel puts another program in a process's place. For a moment the old
//! program's stack is gone and the next one's is not there yet; what the process's registers say is
//! of no program.

use std::sync::Arc;

use sonde_ebpf::StackEnd;

use super::{Location, trust};
use crate::{process::CodeAddress, symbol::Symbol};

/// What the kernel calls on its way through execve, from the system call inwards. Which of them are
/// functions of their own depends on the compiler.
const ON_THE_WAY: [&str; 8] = [
    "__x64_sys_execve",
    "__x64_sys_execveat",
    "__arm64_sys_execve",
    "__arm64_sys_execveat",
    "do_execveat_common",
    "bprm_execve",
    "load_elf_binary",
    "begin_new_exec",
];

/// Says of a stack that it has no user part, and takes out what is there of it, if it was sampled
/// where a process has none. Frames are leaf first, kernel before user, as raw as named. A stack that
/// could be walked further than its leaf is left as it is: its program's memory was still there.
#[must_use]
pub fn without_program(
    end: StackEnd,
    raw: &[CodeAddress],
    frames: &mut Vec<Arc<Location>>,
) -> StackEnd {
    let kernel = raw.iter().take_while(|frame| matches!(frame, CodeAddress::Kernel(_))).count();
    let is_whole = trust::is_complete(end, frames.last().map(|location| &location.symbol));
    if is_whole || raw.len() > kernel + 1 || !frames[..kernel].iter().any(is_on_the_way) {
        return end;
    }
    frames.truncate(kernel);
    StackEnd::InExec
}

fn is_on_the_way(location: &Arc<Location>) -> bool {
    let Symbol::Known(functions) = &location.symbol else { return false };
    functions.iter().any(|function| {
        // `do_execveat_common.isra.0`
        let name = function.name.split('.').next().unwrap_or_default();
        ON_THE_WAY.contains(&name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol::{Function, Svma, kallsyms::KernelAddress};

    fn named(name: &str) -> Arc<Location> {
        let function =
            Function { name: name.into(), system_name: name.into(), file: None, line: 0 };
        let symbol = Symbol::Known(Arc::new([function]));
        Arc::new(Location { binary: None, address: Svma(1), symbol })
    }

    /// What becomes of a stack: its end, and how many of its frames are left.
    fn judged(end: StackEnd, kernel: &[&str], user: &[&str]) -> (StackEnd, usize) {
        let mut raw = vec![CodeAddress::Kernel(KernelAddress(1)); kernel.len()];
        raw.extend(user.iter().map(|_| CodeAddress::Unmapped(1)));
        let mut frames: Vec<_> = kernel.iter().chain(user).map(|name| named(name)).collect();
        let end = without_program(end, &raw, &mut frames);
        (end, frames.len())
    }

    #[test]
    fn between_two_programs_a_process_has_the_kernel_s_stack_only() {
        let kernel = ["unmap_vmas", "exec_mmap", "do_execveat_common.isra.0", "do_syscall_64"];
        for end in [StackEnd::ProcessUnknown, StackEnd::ReadFault, StackEnd::NoMapping] {
            assert_eq!(judged(end, &kernel, &["execve"]), (StackEnd::InExec, 4), "{end:?}");
        }
    }

    #[test]
    fn a_program_that_is_still_there_keeps_its_stack_and_its_faults() {
        let kernel = ["vfs_read", "bprm_execve"];
        let whole = (StackEnd::Complete, 3);
        assert_eq!(judged(StackEnd::Complete, &kernel, &["_start"]), whole);
        let broken = (StackEnd::NoUnwindInfo, 4);
        assert_eq!(judged(StackEnd::NoUnwindInfo, &kernel, &["execve", "stripped"]), broken);
    }

    #[test]
    fn elsewhere_in_the_kernel_a_fault_is_a_fault() {
        let read = (StackEnd::ReadFault, 3);
        assert_eq!(judged(StackEnd::ReadFault, &["vfs_read", "ksys_read"], &["read"]), read);
        // A function of the program may have any name.
        let user = (StackEnd::ReadFault, 2);
        assert_eq!(judged(StackEnd::ReadFault, &["vfs_read"], &["load_elf_binary"]), user);
    }
}
