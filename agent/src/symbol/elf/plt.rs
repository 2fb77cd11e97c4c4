//! Names for the procedure linkage table of x86-64: short jumps to functions of other files, which
//! have no symbols of their own.

use object::Endianness;
use object::elf::{EM_X86_64, Rela64, Sym64};
use object::pod::{self, Pod};
use object::read::elf::{Rela, Sym};

use super::names::read_name;
use super::{ElfFile, Section};
use crate::symbol::Svma;
use crate::symbol::image::FileRange;

/// Size of an entry in bytes, in both layouts.
const ENTRY: u64 = 16;
/// Real tables have some thousand entries.
const MAX_ENTRIES: u64 = 1 << 12;

/// `target@plt` if `svma` lies in a linkage table.
pub(super) fn name(elf: &ElfFile, svma: Svma) -> Option<String> {
    if elf.machine != EM_X86_64 || !elf.is_64 {
        return None;
    }
    let target = target(elf, relocation_index(elf, svma)?)?;
    Some(format!("{target}@plt"))
}

/// Functions that never return, as compilers know them.
const ENDS: [&str; 16] = [
    "abort",
    "exit",
    "_exit",
    "_Exit",
    "quick_exit",
    "pthread_exit",
    "longjmp",
    "siglongjmp",
    "__longjmp_chk",
    "__assert_fail",
    "__stack_chk_fail",
    "__chk_fail",
    "_Unwind_Resume",
    "__cxa_throw",
    "__cxa_rethrow",
    "_ZSt9terminatev",
];

/// Whether the function that an entry leads to never returns.
pub(super) fn never_returns(elf: &ElfFile, entry: Svma) -> bool {
    let target = relocation_index(elf, entry).and_then(|index| target(elf, index));
    target.is_some_and(|name| {
        ENDS.contains(&&*name) || name.starts_with("_ZSt") && name.contains("__throw_")
    })
}

/// Where the linkage tables' entries begin that other code calls.
pub(super) fn entries(elf: &ElfFile) -> impl Iterator<Item = Svma> {
    // The first one of `.plt` is the loader's.
    let tables = [(".plt", 1), (".plt.sec", 0)].into_iter().filter_map(|(name, first)| {
        let section = elf.section(name)?;
        let count = (section.file.size / ENTRY).min(MAX_ENTRIES);
        Some((first..count).map(|number| Svma(section.svma.0.wrapping_add(number * ENTRY))))
    });
    tables.flatten()
}

/// Entries stand in the order of their relocations. `.plt` starts with one that belongs to the
/// loader; where branch tracking splits the table, `.plt.sec` has only real ones.
fn relocation_index(elf: &ElfFile, svma: Svma) -> Option<u64> {
    let entry = |name| {
        let section = elf.section(name)?;
        let distance = svma.0.checked_sub(section.svma.0)?;
        (distance < section.file.size).then_some(distance / ENTRY)
    };
    entry(".plt.sec").or_else(|| entry(".plt")?.checked_sub(1))
}

fn target(elf: &ElfFile, index: u64) -> Option<String> {
    let relocations = elf.section(".rela.plt")?;
    let relocation: Rela64<Endianness> = record(elf, relocations, index)?;
    let symbols = elf.sections.get(relocations.link as usize)?;
    let symbol = Rela::r_sym(&relocation, elf.endian, false);
    let symbol: Sym64<Endianness> = record(elf, symbols, symbol.into())?;
    let strings = elf.sections.get(symbols.link as usize)?;
    read_name(elf, strings.file, symbol.st_name(elf.endian).into())
}

/// Record number `index` of a table, read alone.
fn record<T: Pod>(elf: &ElfFile, table: &Section, index: u64) -> Option<T> {
    let size = size_of::<T>() as u64;
    let distance = index.checked_mul(size)?;
    if !table.has_bytes() || distance >= table.file.size {
        return None;
    }
    let offset = table.file.offset.checked_add(distance)?;
    let bytes = elf.image.read(FileRange { offset, size }, size, "record").ok()?;
    pod::from_bytes(&bytes).ok().map(|(record, _)| *record)
}
