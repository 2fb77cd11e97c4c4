//! Frames by instructions against frames by descriptions, where a file has both; and small pieces of
//! code whose frames are known.

use std::{fs::File, path::Path};

use proptest::prelude::*;
use sonde_ebpf::unwind::{Kind, Rule, find_rule};

use super::{Entries, derive, follow};
use crate::{
    symbol::elf::ElfFile,
    unwind::{file::Source, gaps, oracle_tests::mapped, page::OwnPage},
};

/// What instructions say of a file's functions, against what its descriptions say.
#[derive(Debug, Default)]
struct Tally {
    equal: usize,
    unknown: usize,
    wrong: Vec<String>,
}

/// Compares before every instruction of a file that has both.
fn compare(path: &Path) -> Tally {
    let elf = ElfFile::open(File::open(path).expect("readable")).expect("an ELF file");
    let mut source = Source::open(&elf).expect("has descriptions");
    let mut tally = Tally::default();
    let (mut page, mut starts) = ((u64::MAX, Vec::new()), None);
    for (svma, code) in gaps::pieces(&elf, 0, u64::MAX, super::MAX_CODE_BYTES) {
        let (functions, ends) = gaps::functions(&elf, &mut starts, svma, svma + code.len() as u64);
        let entries = Entries { functions: &functions, ends: &ends, program: elf.entry().0 };
        for (bytes, state) in follow(&code, svma, &entries).frames() {
            let svma = bytes.start;
            if page.0 != svma >> 16 {
                page = (svma >> 16, source.build(svma));
            }
            let told = find_rule(&OwnPage(&page.1), svma);
            if told.kind() == Rule::NO_INFO.kind() || told.kind() == Kind::Plt as u32 {
                continue;
            }
            match state.agrees(told) {
                None => tally.unknown += 1,
                Some(true) => tally.equal += 1,
                Some(false) => tally.wrong.push(format!("{svma:#x} {told:x?}: {state:?}")),
            }
        }
    }
    tally
}

#[expect(clippy::print_stdout, reason = "the README has these figures")]
fn check(path: &Path, at_least: usize) {
    let Tally { equal, unknown, wrong } = compare(path);
    let path = path.display();
    let said = format!("{path}: {equal} equal, {unknown} unknown, {} wrong", wrong.len());
    println!("{said}");
    assert!(equal >= at_least, "{said}");
    assert!(unknown * 20 <= equal, "{said}");
    // Descriptions of assembly err as well; calls that never return are not all known.
    assert!(wrong.len() * 200 <= equal, "{said}: {:#?}", &wrong[..wrong.len().min(9)]);
}

#[test]
fn instructions_of_the_c_library_say_what_its_descriptions_say() {
    check(&mapped("libc.so.6"), 200_000);
}

#[test]
fn instructions_of_the_loader_say_what_its_descriptions_say() {
    check(&mapped("ld-linux"), 20_000);
}

/// Others, named by whoever runs this: `UNWIND_FILES=/a:/b cargo test -- --ignored --show-output`.
#[test]
#[ignore = "needs files named in UNWIND_FILES"]
fn instructions_of_given_files_say_what_their_descriptions_say() {
    let files = std::env::var("UNWIND_FILES").expect("set");
    for file in files.split(':') {
        check(Path::new(file), 1);
    }
}

/// Where the code of these tests lies.
const HERE: u64 = 0x1000;

/// The rules that hold at these offsets of code that is called at its beginning.
fn rules<const N: usize>(code: &[u8], at: [u64; N]) -> [Rule; N] {
    let entries = Entries { functions: &[HERE], ends: &[], program: 0 };
    let rows = derive(code, HERE, &entries);
    at.map(|at| {
        let behind = rows.partition_point(|(svma, _)| *svma <= HERE + at);
        rows[behind - 1].1
    })
}

fn sp(cfa: i64, saved: i64) -> Rule {
    Rule::offset(Kind::Sp, cfa, saved)
}

#[test]
fn pushes_and_pops_move_the_cfa() {
    let code = [
        0x55, // push %rbp
        0x53, // push %rbx
        0x48, 0x83, 0xec, 0x18, // sub $24,%rsp
        0x31, 0xed, // xor %ebp,%ebp
        0x48, 0x83, 0xc4, 0x18, // add $24,%rsp
        0x5b, // pop %rbx
        0x5d, // pop %rbp
        0xc3, // ret
    ];
    let expected = [sp(8, 0), sp(16, 16), sp(24, 16), sp(48, 16), sp(48, 16), sp(24, 16), sp(8, 0)];
    assert_eq!(rules(&code, [0, 1, 2, 6, 8, 12, 14]), expected);
}

#[test]
fn a_frame_pointer_leads_where_the_stack_pointer_is_not_known() {
    let code = [
        0x55, // push %rbp
        0x48, 0x89, 0xe5, // mov %rsp,%rbp
        0x48, 0x83, 0xe4, 0xc0, // and $-64,%rsp
        0x48, 0x29, 0xfc, // sub %rdi,%rsp
        0xc9, // leave
        0xc3, // ret
    ];
    let by_frame = Rule::offset(Kind::Fp, 16, 16);
    assert_eq!(rules(&code, [4, 8, 11, 12]), [sp(16, 16), by_frame, by_frame, sp(8, 0)]);
}

#[test]
fn code_that_only_a_table_of_jumps_leads_to_has_the_frame_of_the_jump() {
    let code = [
        0x53, // push %rbx
        0xff, 0xe0, // jmp *%rax
        0x90, // nop
        0x89, 0xf8, // mov %edi,%eax
        0x5b, // pop %rbx
        0xc3, // ret
    ];
    assert_eq!(rules(&code, [1, 4, 6, 7]), [sp(16, 0), sp(16, 0), sp(16, 0), sp(8, 0)]);
}

#[test]
fn what_follows_a_call_that_never_returns_is_another_function() {
    let code = [
        0x50, // push %rax
        0xe8, 0x03, 0, 0, 0, // call 0x9
        0x89, 0xf8, // mov %edi,%eax
        0xc3, // ret
        0x0f, 0x0b, // ud2
    ];
    assert_eq!(rules(&code, [1, 6, 8]), [sp(16, 0), sp(8, 0), sp(8, 0)]);
}

#[test]
fn a_thread_starts_where_the_frame_pointer_is_cleared_without_being_saved() {
    let code = [
        0x0f, 0x05, // syscall
        0x85, 0xc0, // test %eax,%eax
        0x75, 0x06, // jne 0xc
        0x31, 0xed, // xor %ebp,%ebp
        0x5f, // pop %rdi
        0xff, 0xd7, // call *%rdi
        0xf4, // hlt
        0xc3, // ret
    ];
    assert_eq!(rules(&code, [2, 9, 12]), [sp(8, 0), Rule::END, sp(8, 0)]);
}

#[test]
fn a_function_that_returns_elsewhere_was_misread_and_has_no_rules() {
    let code = [
        0x53, // push %rbx
        0xc3, // ret
    ];
    assert_eq!(rules(&code, [0, 1]), [Rule::NO_INFO, Rule::NO_INFO]);
}

#[test]
fn a_signal_handler_returns_to_the_restorer() {
    let code = [
        0xc3, // ret
        0x90, // nop
        0xb8, 15, 0, 0, 0, // mov $15,%eax
        0x0f, 0x05, // syscall
        0xc3, // ret
    ];
    assert_eq!(rules(&code, [1, 2, 8]), [Rule::SIGNAL; 3]);
    assert_ne!(rules(&code, [0, 9]), [Rule::SIGNAL; 2]);
}

proptest! {
    #[test]
    fn any_bytes_have_rules_in_order_of_address(
        code in prop::collection::vec(any::<u8>(), 0..600),
        functions in prop::collection::vec(HERE - 8..HERE + 700, 0..8),
    ) {
        let entries = Entries { functions: &functions, ends: &functions[..functions.len() / 2], program: HERE };
        let rows = derive(&code, HERE, &entries);
        prop_assert!(rows.is_sorted_by_key(|(svma, _)| *svma), "{rows:x?}");
    }
}
