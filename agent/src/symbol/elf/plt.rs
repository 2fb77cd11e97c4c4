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

/// `target@plt` if `svma` lies in a linkage table.
pub(super) fn name(elf: &ElfFile, svma: Svma) -> Option<String> {
    if elf.machine != EM_X86_64 || !elf.is_64 {
        return None;
    }
    let target = target(elf, relocation_index(elf, svma)?)?;
    Some(format!("{target}@plt"))
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
