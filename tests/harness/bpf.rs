//! What the kernel has loaded and opened: BPF program ids, and a process's perf events.

use std::collections::BTreeSet;
use std::fs;

/// `BPF_PROG_GET_NEXT_ID` of bpf(2).
const PROG_GET_NEXT_ID: libc::c_long = 11;

/// The part of `union bpf_attr` that this command reads and writes.
#[repr(C)]
#[derive(Default)]
struct NextId {
    start_id: u32,
    next_id: u32,
    open_flags: u32,
}

/// The ids of all BPF programs that are loaded now.
#[must_use]
pub fn programs() -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut attribute = NextId::default();
    loop {
        // SAFETY: the kernel reads and writes the given number of bytes of `attribute`, which
        // outlives the call.
        let answer = unsafe {
            libc::syscall(libc::SYS_bpf, PROG_GET_NEXT_ID, &raw mut attribute, size_of::<NextId>())
        };
        if answer != 0 {
            return found;
        }
        found.insert(attribute.next_id);
        attribute.start_id = attribute.next_id;
    }
}

/// How many perf events a process has open.
#[must_use]
pub fn perf_events(pid: u32) -> usize {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return 0 };
    files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .filter(|target| target.to_string_lossy().contains("[perf_event]"))
        .count()
}
