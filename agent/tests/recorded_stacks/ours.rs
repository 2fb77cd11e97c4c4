//! Our walk, as the agent does it for a sample that the kernel side could not finish.

use std::{collections::HashMap, sync::Arc};

use sonde_agent::{
    kernel::SharedTables,
    process::{Cgroups, CodeFile, ProcessTable},
    record::Sample,
    symbol::{elf::ElfFile, vdso},
    unwind::Unwinder,
};
use sonde_ebpf::{
    Resume, StackEnd,
    limits::{ARENA_ELEMENT_BYTES, COMM_BYTES},
    unwind::{DirectoryEntry, LEAF, MappedCode, Registers},
};

use super::recording::Recording;

pub(crate) fn walk(recording: &Recording) -> (Vec<u64>, StackEnd) {
    let mut table = ProcessTable::new("/proc".into(), Cgroups::of_host());
    table.attribute(&sample(recording.pid));
    let mappings = table.mappings(recording.pid).unwrap_or_else(|| Arc::new(Default::default()));
    let open = |file, address| match file {
        CodeFile::Vdso => vdso::read_own().ok(),
        CodeFile::File(file) => ElfFile::open(table.open(recording.pid, file, address).ok()?).ok(),
    };
    let mut unwinder = Unwinder::new(SharedTables {
        arena: vec![0_u8; 64 * ARENA_ELEMENT_BYTES],
        directory: vec![DirectoryEntry::default(); 1 << 14],
        mappings: vec![MappedCode::default(); 1 << 10],
        processes: HashMap::new(),
    });
    let registers = Registers {
        pc: recording.pc,
        sp: recording.sp(),
        fp: recording.fp(),
        link: 0,
        exact: 1,
        leaf: LEAF,
    };
    let resume = Resume { registers, general: recording.general };
    // The copy begins where the agent's would.
    let skip = resume.copied_from().saturating_sub(recording.stack_at);
    let stack = &recording.stack[usize::try_from(skip).unwrap().min(recording.stack.len())..];
    let mut frames = vec![recording.pc];
    let end = unwinder.resume(&resume, stack, &mappings, &mut frames, open);
    (frames, end)
}

fn sample(pid: u32) -> Sample {
    Sample {
        pid,
        tid: pid,
        boot_ns: 0,
        cgroup_id: 0,
        comm: [0; COMM_BYTES],
        user_stack: Box::default(),
        kernel_stack: Box::default(),
        stack_end: StackEnd::TableNotLoaded,
        rest: None,
    }
}
