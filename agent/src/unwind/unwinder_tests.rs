//! Files made to take what others need, and processes that give no access.

use std::{cell::RefCell, collections::HashMap, path::Path, rc::Rc};

use sonde_ebpf::{limits::ARENA_ELEMENT_BYTES, unwind::ProcessCode};

use super::*;
use crate::{
    process::{Cgroups, ProcessTable},
    record::{Inode, MappedRegion, ProcessEvent, ProcessEventKind},
    unwind::made_elf,
};

const PID: u32 = 5;

fn elf(loads: &[(u64, u64)]) -> ElfFile {
    made_elf::elf(&[0x90; 0x1000], loads)
}

/// Loaded where it is in the file.
fn ordinary() -> ElfFile {
    elf(&[(0x1000, 0x1000)])
}

/// Two pieces of code with a gigabyte between them.
fn far_apart() -> ElfFile {
    elf(&[(0x1000, 0x1000), (0x3fff_1000, 0x1000)])
}

/// Where the test sees what the kernel side would.
#[derive(Clone, Default)]
struct Seen(Rc<RefCell<Vec<MappedCode>>>);

impl SharedRecords<MappedCode> for Seen {
    fn size(&self) -> usize {
        1000
    }

    fn set(&mut self, at: usize, value: MappedCode) {
        let mut seen = self.0.borrow_mut();
        let size = seen.len().max(at + 1);
        seen.resize(size, MappedCode::default());
        seen[at] = value;
    }
}

type Tested = Unwinder<Vec<u8>, Vec<DirectoryEntry>, Seen, HashMap<u32, ProcessCode>>;

fn unwinder(directory: usize) -> (Tested, Seen) {
    let seen = Seen::default();
    let shared = SharedTables {
        arena: vec![0_u8; 4 * ARENA_ELEMENT_BYTES],
        directory: vec![DirectoryEntry::default(); directory],
        mappings: seen.clone(),
        processes: HashMap::new(),
    };
    (Unwinder::new(shared), seen)
}

fn address_of(file: u64) -> u64 {
    0x7000_0000 + 0x10_0000 * file
}

/// The code of so many files, each mapped whole at its address.
fn mappings(files: u64) -> std::sync::Arc<Mappings> {
    let cgroups = Cgroups::new("/nonexistent".into());
    let mut table = ProcessTable::new(Path::new("/nonexistent").into(), cgroups);
    let event = |kind| ProcessEvent { pid: PID, boot_ns: 1, kind };
    table.apply(&event(ProcessEventKind::Exec { comm: "program".into() }));
    for number in 0..files {
        let start = address_of(number);
        let inode = Inode { device: (8, 1), number };
        let path = format!("/lib/{number}");
        let (end, file_offset) = (start + 0x1000, 0x1000);
        let region = MappedRegion { start, end, file_offset, inode, path };
        table.apply(&event(ProcessEventKind::Mapped(region)));
    }
    table.mappings(PID).expect("known")
}

#[test]
fn places_in_the_directory_are_for_code_that_a_file_has() {
    let pages = |loads: &[(u64, u64)]| Layout::of(&elf(loads)).pages;
    assert_eq!(pages(&[(0x1000, 0x1000)]), 1);
    assert_eq!(pages(&[(0xf000, 0x1001)]), 2);
    assert_eq!(pages(&[(0x1000, 0x1000), (0x3_1000, 0x1000)]), 4, "not far");
    assert_eq!(Layout::of(&far_apart()).pages, 0);
    assert_eq!(pages(&[(0x1000, 0x2000_0000)]), 0, "more than the file has");
    assert_eq!(pages(&[(0x1800, 0x1000)]), 0, "that is not how the kernel maps it");
}

#[test]
fn files_that_claim_gigabytes_leave_the_directory_to_others() {
    let (mut unwinder, seen) = unwinder(1 << 17);
    let open = |file, _: u64| match file {
        CodeFile::File(FileIndex(8)) => Some(ordinary()),
        _ => Some(far_apart()),
    };
    assert!(unwinder.publish(PID, &mappings(9), 1, open));
    let seen = seen.0.borrow();
    let (far, ordinary) = seen.split_at(8);
    for (number, mapped) in (0..).zip(far) {
        assert_eq!(mapped.directory, NO_DIRECTORY);
        assert_eq!(mapped.bias, address_of(number), "its addresses can't wrap around");
    }
    let expected = MappedCode {
        start: address_of(8),
        end: address_of(8) + 0x1000,
        bias: address_of(8) - 0x1000,
        directory: 0,
        kind: MappingKind::Tables as u32,
    };
    assert_eq!(ordinary, [expected]);
    assert_eq!(unwinder.counts().files_refused, 0);
}

#[test]
fn files_without_room_in_the_directory_are_counted() {
    let (mut unwinder, seen) = unwinder(2);
    assert!(unwinder.publish(PID, &mappings(5), 1, |_, _| Some(ordinary())));
    assert_eq!(unwinder.counts().files_refused, 3);
    let places: Vec<u32> = seen.0.borrow().iter().map(|mapped| mapped.directory).collect();
    assert_eq!(places, [0, 1, NO_DIRECTORY, NO_DIRECTORY, NO_DIRECTORY]);
}

#[test]
fn a_page_without_a_place_is_made_once() {
    let (mut unwinder, _) = unwinder(16);
    let mappings = mappings(1);
    for into in 0..100 {
        let found = unwinder.find(&mappings, address_of(0) + into, &mut |_, _| Some(far_apart()));
        assert!(matches!(found, Found::Rule(_)));
    }
    assert_eq!(unwinder.counts().pages_built, 1);
}

#[test]
fn a_stack_of_a_process_that_is_gone_counts_once() {
    let (mut unwinder, seen) = unwinder(16);
    let mappings = mappings(1);
    let mut asked = 0;
    for _ in 0..3 {
        for frame in 0..20 {
            let mut refuse = |_, _| {
                asked += 1;
                None
            };
            let found = unwinder.find(&mappings, address_of(0) + frame, &mut refuse);
            assert!(matches!(found, Found::Unreadable));
        }
        unwinder.end_round();
    }
    assert_eq!(asked, 3);
    assert!(unwinder.publish(PID, &mappings, 1, |_, _| None));
    let [unread] = seen.0.borrow()[..] else { panic!("one region") };
    assert_eq!((unread.bias, unread.directory), (address_of(0), NO_DIRECTORY));
    let found = unwinder.find(&mappings, address_of(0), &mut |_, _| Some(ordinary()));
    assert!(matches!(found, Found::Unreadable), "not in the same round again");
    unwinder.end_round();
    let found = unwinder.find(&mappings, address_of(0), &mut |_, _| Some(ordinary()));
    assert!(matches!(found, Found::Rule(_)));
}
