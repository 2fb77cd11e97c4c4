//! What the table says of made-up events and a made-up `/proc`.

use std::fs;
use std::path::Path;

use super::*;
use crate::{record::Inode, symbol::FileOffset};

fn table(proc_root: &Path) -> ProcessTable {
    ProcessTable::new(proc_root.into(), Cgroups::new("/nonexistent".into()))
}

fn event(pid: u32, boot_ns: u64, kind: ProcessEventKind) -> ProcessEvent {
    ProcessEvent { pid, boot_ns, kind }
}

fn exec(pid: u32, boot_ns: u64) -> ProcessEvent {
    event(pid, boot_ns, ProcessEventKind::Exec { comm: "short".into() })
}

fn mapped(pid: u32, boot_ns: u64, start: u64, path: &str) -> ProcessEvent {
    let inode = Inode { device: (8, 1), number: 7 };
    let (end, path) = (start + 0x1000, path.to_owned());
    let region = MappedRegion { start, end, file_offset: 0x200, inode, path };
    event(pid, boot_ns, ProcessEventKind::Mapped(region))
}

fn sample(pid: u32, boot_ns: u64, user_stack: &[u64]) -> Sample {
    Sample {
        pid,
        tid: pid,
        boot_ns,
        cgroup_id: 1,
        comm: *b"short\0\0\0\0\0\0\0\0\0\0\0",
        user_stack: user_stack.into(),
        kernel_stack: Box::new([0xffff_0010, 0xffff_0020]),
        stack_end: StackEnd::FramePointerEnd,
        rest: None,
    }
}

fn located(table: &mut ProcessTable, sample: &Sample) -> Vec<CodeAddress> {
    let mut frames = Vec::new();
    table.attribute(sample);
    table.locate(sample, &mut frames);
    frames
}

#[test]
fn a_process_known_by_events_alone_is_named_when_proc_has_nothing_of_it() {
    let proc_root = tempfile::tempdir().expect("a directory");
    let mut table = table(proc_root.path());
    table.apply(&exec(5, 10));
    table.apply(&mapped(5, 11, 0x1000, "/usr/bin/short"));
    table.apply(&event(5, 20, ProcessEventKind::Exited));
    let sample = sample(5, 15, &[0x1010, 0x1020]);
    let frames = located(&mut table, &sample);
    assert_eq!(&*table.attribute(&sample).identity.service, "short");
    let file = |offset| CodeAddress::File(FileIndex(0), FileOffset(offset));
    assert_eq!(frames[2..], [file(0x210), file(0x21f)], "a return address is moved back");
    assert_eq!(frames[1], CodeAddress::Kernel(KernelAddress(0xffff_001f)));
    assert_eq!(table.counts(), TableCounts::default());
}

#[test]
fn a_fork_has_its_parent_s_regions_and_an_exec_has_none_of_them() {
    let proc_root = tempfile::tempdir().expect("a directory");
    let mut table = table(proc_root.path());
    table.apply(&exec(5, 10));
    table.apply(&mapped(5, 11, 0x1000, "/usr/bin/parent"));
    table.apply(&event(6, 12, ProcessEventKind::Forked { parent: 5 }));
    let file = CodeAddress::File(FileIndex(0), FileOffset(0x210));
    assert_eq!(located(&mut table, &sample(6, 13, &[0x1010]))[2], file);
    let before = table.attribute(&sample(6, 13, &[])).serial;
    table.apply(&exec(6, 14));
    assert_eq!(located(&mut table, &sample(6, 15, &[0x1010]))[2], CodeAddress::Unmapped(0x1010));
    assert_ne!(table.attribute(&sample(6, 15, &[])).serial, before);
}

#[test]
fn a_process_that_was_there_before_is_read_from_proc_once() {
    let proc_root = tempfile::tempdir().expect("a directory");
    let process = proc_root.path().join("9");
    fs::create_dir(&process).expect("made");
    let maps = "1000-2000 r-xp 00000400 08:01 7 /usr/bin/old\n";
    fs::write(process.join("maps"), maps).expect("written");
    fs::write(process.join("environ"), "OTEL_SERVICE_NAME=shop\0").expect("written");
    let mut table = table(proc_root.path());
    let sample = sample(9, 15, &[0x1010]);
    let file = CodeAddress::File(FileIndex(0), FileOffset(0x410));
    assert_eq!(located(&mut table, &sample)[2], file);
    assert_eq!(located(&mut table, &sample)[2], file);
    assert_eq!(&*table.attribute(&sample).identity.service, "shop");
    assert_eq!(table.counts().maps_read, 1);
    assert_eq!(table.files().get(FileIndex(0)).expect("known").path.as_ref(), "/usr/bin/old");
}

#[test]
fn a_process_that_nothing_is_known_of_keeps_its_samples() {
    let proc_root = tempfile::tempdir().expect("a directory");
    let mut table = table(proc_root.path());
    let sample = sample(77, 15, &[0x1010]);
    assert_eq!(located(&mut table, &sample)[2], CodeAddress::Gone(0x1010));
    assert_eq!(&*table.attribute(&sample).identity.service, "short");
    assert_eq!(table.counts().gone, 1);
}

#[test]
fn a_program_that_is_being_loaded_is_known_when_it_is() {
    let proc_root = tempfile::tempdir().expect("a directory");
    fs::create_dir(proc_root.path().join("5")).expect("made");
    std::os::unix::fs::symlink("/usr/bin/next", proc_root.path().join("5/exe")).expect("linked");
    let mut table = table(proc_root.path());
    table.apply(&exec(5, 10));
    table.attribute(&sample(5, 11, &[]));
    table.apply(&mapped(5, 12, 0x1000, "/usr/bin/short"));
    for boot_ns in [13, 14] {
        let service = &table.attribute(&sample(5, boot_ns, &[])).identity.service;
        assert_eq!(&**service, "short");
    }
}

#[test]
fn what_is_no_code_ends_the_chain_of_callers() {
    let proc_root = tempfile::tempdir().expect("a directory");
    let mut table = table(proc_root.path());
    table.apply(&exec(5, 10));
    table.apply(&mapped(5, 11, 0x1000, "/usr/bin/short"));
    let frames = located(&mut table, &sample(5, 15, &[0x1010, 0x7000_0000, 0x1020]));
    assert_eq!(frames.len(), 3, "two of the kernel and the leaf: {frames:?}");
}

/// What an address means that no event told of, when `/proc` shows these regions.
fn found_in_proc(maps: &str) -> CodeAddress {
    let proc_root = tempfile::tempdir().expect("a directory");
    fs::create_dir(proc_root.path().join("5")).expect("made");
    fs::write(proc_root.path().join("5/maps"), maps).expect("written");
    let mut table = table(proc_root.path());
    table.apply(&exec(5, 10));
    table.apply(&mapped(5, 11, 0x1000, "/usr/bin/short"));
    assert_eq!(located(&mut table, &sample(5, 12, &[0x9010]))[2], CodeAddress::Unmapped(0x9010));
    assert_eq!(table.counts().maps_read, 0, "it is being loaded");
    table.apply(&mapped(5, 13, 0x7000, "[vdso]"));
    let found = located(&mut table, &sample(5, 14, &[0x9010]))[2];
    let file = CodeAddress::File(FileIndex(0), FileOffset(0x210));
    assert_eq!(located(&mut table, &sample(5, 15, &[0x1010]))[2], file, "that is not forgotten");
    found
}

#[test]
fn a_region_without_an_event_is_found_if_the_process_still_runs_the_same_program() {
    let maps = |program, vdso| {
        format!(
            "1000-2000 r-xp 00000200 08:01 7 {program}\n\
             9000-a000 r-xp 00000000 00:00 0\n{vdso}000-8000 r-xp 00000000 00:00 0 [vdso]\n"
        )
    };
    assert_eq!(found_in_proc(&maps("/usr/bin/short", 7)), CodeAddress::Jit(0x9010));
    assert_eq!(found_in_proc(&maps("/usr/bin/short", 6)), CodeAddress::Unmapped(0x9010));
    assert_eq!(found_in_proc(&maps("/usr/bin/other", 7)), CodeAddress::Unmapped(0x9010));
}

/// Where process 5 maps one region, as it is now.
fn proc_with_one_region() -> tempfile::TempDir {
    let proc_root = tempfile::tempdir().expect("a directory");
    fs::create_dir(proc_root.path().join("5")).expect("made");
    let maps = "1000-2000 r-xp 00000200 08:01 7 /usr/bin/short\n";
    fs::write(proc_root.path().join("5/maps"), maps).expect("written");
    proc_root
}

#[test]
fn regions_that_were_unmapped_do_not_pile_up() {
    const LATE: u64 = 1 << 62;
    let proc_root = proc_with_one_region();
    let mut table = table(proc_root.path());
    table.apply(&exec(5, 10));
    for number in 0..2000 {
        table.apply(&mapped(5, LATE + number, 0x1000 + 0x2000 * number, "/usr/bin/short"));
    }
    assert_eq!(table.counts().maps_read, 1);
    let known = table.mappings(5).expect("known").len();
    assert_eq!(known, 2000 - MANY_REGIONS, "that in the file, and those that came since");
    let gone = located(&mut table, &sample(5, LATE + 3000, &[0x3010]))[2];
    assert_eq!(gone, CodeAddress::Unmapped(0x3010));
}

#[test]
fn a_process_that_maps_and_unmaps_code_makes_us_read_all_regions_once_a_second() {
    const LATE: u64 = 1 << 62;
    let proc_root = proc_with_one_region();
    let mut table = table(proc_root.path());
    table.apply(&exec(5, 10));
    let mut read = Vec::new();
    for (second, number) in (0..3_u64).flat_map(|second| (0..5000).map(move |at| (second, at))) {
        let start = 0x3000 + 0x2000 * (5000 * second + number);
        table.apply(&mapped(5, LATE + 1_100_000_000 * second + number, start, "/usr/bin/short"));
        if number == 4999 {
            read.push(table.counts().maps_read);
        }
    }
    assert_eq!(read, [1, 2, 3]);
    assert!(table.mappings(5).expect("known").len() <= 5000);
}

#[test]
fn regions_that_nobody_can_read_again_are_tried_when_there_are_twice_as_many() {
    let proc_root = tempfile::tempdir().expect("a directory");
    let mut table = table(proc_root.path());
    table.apply(&exec(5, 10));
    for number in 0..5000 {
        table.apply(&mapped(5, 11 + number, 0x1000 + 0x2000 * number, "/usr/bin/short"));
    }
    assert_eq!(table.mappings(5).expect("known").len(), 5000);
    let Memory::Known { whole, .. } = table.processes[&5].memory else { panic!("known") };
    assert_eq!(whole, 4103, "tried with 1025 of them, with 2051, and with 4103");
}

#[test]
fn a_kernel_thread_is_told_from_a_process_that_is_about_to_end() {
    let proc_root = tempfile::tempdir().expect("a directory");
    fs::create_dir(proc_root.path().join("2")).expect("made");
    let stat = "2 (kthr) eadd) S 0 0 0 0 -1 2129984 0 0\n";
    fs::write(proc_root.path().join("2/stat"), stat).expect("written");
    let mut table = table(proc_root.path());
    let ending = |pid| Sample { stack_end: StackEnd::KernelThread, ..sample(pid, 15, &[]) };
    assert_eq!(&*table.attribute(&ending(2)).identity.service, "kernel");
    assert_eq!(&*table.attribute(&ending(3)).identity.service, "short");
}

#[test]
fn an_exited_process_is_forgotten_only_when_its_samples_are_counted() {
    let proc_root = tempfile::tempdir().expect("a directory");
    let mut table = table(proc_root.path());
    table.apply(&exec(5, 10));
    table.apply(&event(5, 20, ProcessEventKind::Exited));
    table.expire(20 + REMEMBERED_NS - 1);
    assert_eq!(table.len(), 1);
    table.expire(20 + REMEMBERED_NS);
    assert!(table.is_empty());
}

/// What the service of process 6 is: process 5, which has the given environment, made it, it ran a
/// program of its own, and was gone before anybody looked.
fn service_of_a_child(parent_was_known: bool, environment: &str) -> String {
    let proc_root = tempfile::tempdir().expect("a directory");
    let parent = proc_root.path().join("5");
    fs::create_dir(&parent).expect("made");
    fs::write(parent.join("environ"), environment).expect("written");
    let mut table = table(proc_root.path());
    if parent_was_known {
        table.apply(&exec(5, 10));
    }
    table.apply(&event(6, 12, ProcessEventKind::Forked { parent: 5 }));
    table.apply(&exec(6, 13));
    table.apply(&mapped(6, 13, 0x1000, "/usr/bin/program"));
    table.apply(&event(6, 14, ProcessEventKind::Exited));
    table.attribute(&sample(6, 14, &[])).identity.service.to_string()
}

#[test]
fn a_child_that_is_gone_has_the_service_that_its_parent_was_configured_to() {
    for known in [true, false] {
        assert_eq!(service_of_a_child(known, "OTEL_SERVICE_NAME=shop\0"), "shop", "{known}");
        assert_eq!(service_of_a_child(known, "A=1\0"), "program", "{known}");
    }
}

#[test]
fn a_child_that_is_gone_is_in_its_parent_s_container() {
    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let proc_root = tempfile::tempdir().expect("a directory");
    fs::create_dir(proc_root.path().join("5")).expect("made");
    let text = format!("12:cpu:/docker/{ID}\n");
    fs::write(proc_root.path().join("5/cgroup"), text).expect("written");
    let mut table = table(proc_root.path());
    table.apply(&exec(5, 10));
    table.attribute(&sample(5, 11, &[]));
    table.apply(&event(6, 12, ProcessEventKind::Forked { parent: 5 }));
    table.apply(&exec(6, 13));
    let identity = table.attribute(&sample(6, 14, &[])).identity;
    assert_eq!(identity.container_id.as_deref(), Some(ID));
}

#[test]
fn a_million_files_that_come_and_go_leave_nothing_behind() {
    let proc_root = tempfile::tempdir().expect("a directory");
    fs::create_dir(proc_root.path().join("1")).expect("made");
    let mut table = table(proc_root.path());
    table.apply(&exec(1, 0));
    table.apply(&mapped(1, 0, 0x1000, "/usr/sbin/stays"));
    let mut forgotten = 0;
    for number in 0..1_000_000_u64 {
        let (pid, boot_ns) = (2 + u32::try_from(number % 1000).expect("small"), number * 1_000_000);
        table.apply(&exec(pid, boot_ns));
        table.apply(&mapped(pid, boot_ns, 0x1000, &format!("/tmp/{number}")));
        table.apply(&event(pid, boot_ns, ProcessEventKind::Exited));
        // As at the end of each window of ten seconds.
        if number % 10_000 == 9_999 {
            table.expire(boot_ns);
            forgotten += table.forget_files().len();
            assert!(table.files().len() <= 12_000, "{} files", table.files().len());
        }
    }
    assert!(forgotten > 980_000, "{forgotten}");
    let stays = &located(&mut table, &sample(1, 1_000_000_000_000, &[0x1010]))[2];
    assert_eq!(*stays, CodeAddress::File(FileIndex(0), FileOffset(0x210)));
    assert_eq!(table.counts(), TableCounts::default());
}
