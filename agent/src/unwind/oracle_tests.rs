//! Our tables against gimli's reading of the same files: for every piece of every function, both
//! must lead from the same registers and the same stack to the same caller.

use std::{collections::HashMap, fs::File, path::Path};

use gimli::{
    BaseAddresses, CfaRule, EhFrame, LittleEndian, RegisterRule, UnwindContext, UnwindSection as _,
    UnwindTableRow,
};
use object::{Object as _, ObjectSection as _};
use sonde_ebpf::{
    StackEnd,
    unwind::{LEAF, Machine, Memory, PAGE_TEXT_BYTES, Registers, Rule, find_rule, step},
};

use super::{file::Source, page::OwnPage};
use crate::symbol::elf::ElfFile;

#[path = "../../tests/recorded_stacks/evaluate.rs"]
mod evaluate;
use evaluate::{Bytes, evaluate};

/// A stack whose words point a little further up the stack, as return addresses and saved registers
/// never all do: so a wrong word leads to a wrong caller.
struct Words;

const STACK: u64 = 0x7000_0000_0000;

impl Memory for Words {
    fn word(&mut self, address: u64) -> Option<u64> {
        let mixed = address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        Some(STACK + 0x10_0000 + (mixed & 0xffff) * 8)
    }

    fn two_words(&mut self, address: u64) -> Option<[u64; 2]> {
        Some([self.word(address)?, self.word(address + 8)?])
    }

    fn code_before(&mut self, _address: u64) -> Option<u64> {
        None
    }
}

struct X86_64;

impl Machine for X86_64 {
    const LINK_REGISTER: bool = false;
    const ADDRESS_MASK: u64 = u64::MAX;
}

fn general() -> [u64; 16] {
    let mut general = std::array::from_fn(|number| STACK + 0x2000 + number as u64 * 0x110);
    general[7] = STACK;
    general
}

/// What an unwinder makes of a frame: program counter, stack pointer, frame pointer of the caller.
#[derive(Debug, PartialEq, Eq)]
enum Caller {
    At(u64, u64, u64),
    None,
    Unknown,
}

fn ours(rule: Rule, pc: u64) -> Caller {
    let general = general();
    let mut registers =
        Registers { pc, sp: general[7], fp: general[6], link: 0, exact: 1, leaf: LEAF };
    match step::<X86_64, _>(rule, &mut registers, &general, &mut Words) {
        Ok(()) => Caller::At(registers.pc, registers.sp, registers.fp),
        Err(StackEnd::Complete) => Caller::None,
        Err(_) => Caller::Unknown,
    }
}

fn theirs(row: &UnwindTableRow<usize>, frames: &EhFrame<Bytes<'_>>, pc: u64) -> Option<Caller> {
    let general = general();
    let evaluated = |at: &gimli::UnwindExpression<usize>, initial| {
        let register = |number| if number == 16 { Some(pc) } else { general.get(number).copied() };
        evaluate(at.get(frames).ok()?, initial, register, |address| Words.word(address))
    };
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            general[usize::from(register.0)].wrapping_add_signed(*offset)
        }
        CfaRule::Expression(at) => evaluated(at, None)?,
    };
    let value = |register: u16, same: u64| match row.register(gimli::Register(register)) {
        None | Some(RegisterRule::SameValue) => Some(same),
        Some(RegisterRule::Undefined) if register == 16 => None,
        Some(RegisterRule::Undefined) => Some(same),
        Some(RegisterRule::Offset(offset)) => Words.word(cfa.wrapping_add_signed(offset)),
        Some(RegisterRule::Register(other)) => Some(general[usize::from(other.0)]),
        Some(RegisterRule::Expression(at)) => Words.word(evaluated(&at, Some(cfa))?),
        _ => None,
    };
    if matches!(row.register(gimli::Register(16)), Some(RegisterRule::Undefined)) {
        return Some(Caller::None);
    }
    Some(Caller::At(value(16, 0)?, cfa, value(6, general[6])?))
}

#[derive(Debug, Default)]
struct Tally {
    pieces: usize,
    unsupported: usize,
    wrong: Vec<String>,
}

/// Compares every piece of every function of a file.
fn compare(path: &Path) -> Tally {
    let bytes = std::fs::read(path).expect("readable");
    let parsed = object::File::parse(&*bytes).expect("an ELF file");
    let section = parsed.section_by_name(".eh_frame").expect("has descriptions");
    let base = BaseAddresses::default()
        .set_eh_frame(section.address())
        .set_text(parsed.section_by_name(".text").map_or(0, |text| text.address()));
    let frames = EhFrame::new(section.data().expect("readable"), LittleEndian);
    let elf = ElfFile::open(File::open(path).expect("readable")).expect("an ELF file");
    let mut source = Source::open(&elf).expect("has descriptions");
    let mut pages: HashMap<u64, Vec<u8>> = HashMap::new();
    let mut rule_at = |svma: u64| {
        let page = pages.entry(svma / PAGE_TEXT_BYTES).or_insert_with(|| source.build(svma));
        find_rule(&OwnPage(page), svma)
    };
    let mut tally = Tally::default();
    let mut context = UnwindContext::new();
    let mut entries = frames.entries(&base);
    while let Some(entry) = entries.next().expect("makes sense") {
        let gimli::CieOrFde::Fde(partial) = entry else { continue };
        let fde = partial.parse(EhFrame::cie_from_offset).expect("makes sense");
        if fde.len() == 0 {
            continue;
        }
        let mut table = fde.rows(&frames, &base, &mut context).expect("makes sense");
        while let Some(row) = table.next_row().expect("makes sense") {
            let (start, end) = (row.start_address(), row.end_address().min(fde.end_address()));
            if start >= end {
                continue;
            }
            tally.pieces += 1;
            for pc in [start, end - 1] {
                let rule = rule_at(pc);
                if fde.is_signal_trampoline() {
                    assert_eq!(rule, Rule::SIGNAL);
                    continue;
                }
                match (ours(rule, pc), theirs(row, &frames, pc)) {
                    (Caller::Unknown, _) => tally.unsupported += 1,
                    (ours, Some(theirs)) if ours == theirs => {}
                    (ours, theirs) => {
                        tally.wrong.push(format!("{pc:#x} {rule:x?}: {ours:x?}, not {theirs:x?}"));
                    }
                }
            }
        }
    }
    tally
}

/// The library that this program runs with.
pub(super) fn mapped(name: &str) -> std::path::PathBuf {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("readable");
    let line = maps.lines().find(|line| line.contains(name)).expect("mapped into every program");
    line.split_whitespace().nth(5).expect("a path").into()
}

fn check(path: &Path, at_least: usize) {
    let tally = compare(path);
    assert!(
        tally.wrong.is_empty(),
        "{}: {:#?}",
        path.display(),
        &tally.wrong[..tally.wrong.len().min(9)]
    );
    assert!(tally.pieces >= at_least, "{}: only {} pieces", path.display(), tally.pieces);
    // Two addresses are looked up for each piece.
    assert!(
        tally.unsupported * 500 <= tally.pieces,
        "{}: {} of {}",
        path.display(),
        tally.unsupported,
        tally.pieces
    );
}

#[test]
fn every_function_of_the_c_library_leads_to_the_caller_that_gimli_finds() {
    check(&mapped("libc.so.6"), 20_000);
}

#[test]
fn every_function_of_the_loader_leads_to_the_caller_that_gimli_finds() {
    check(&mapped("ld-linux"), 2_000);
}

#[test]
fn every_function_of_this_program_leads_to_the_caller_that_gimli_finds() {
    check(&std::env::current_exe().expect("known"), 20_000);
}

/// Larger files, named by whoever runs this: `UNWIND_FILES=/a:/b cargo test -- --ignored`.
#[test]
#[ignore = "needs files named in UNWIND_FILES"]
fn every_function_of_given_files_leads_to_the_caller_that_gimli_finds() {
    let files = std::env::var("UNWIND_FILES").expect("set");
    for file in files.split(':') {
        check(Path::new(file), 1);
    }
}
