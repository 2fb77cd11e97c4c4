//! One symbol table of one file, sorted by address. Names stay in the file and are read on demand.
//!
//! An entry costs 12 bytes: a program of 100,000 functions fits in 1.2 MB, its names would take
//! five to ten times that, and only a handful of them are ever asked for.

use object::Endianness;
use object::elf::{
    EM_AARCH64, EM_ARM, EM_RISCV, SHN_ABS, SHN_UNDEF, STB_GLOBAL, STB_GNU_UNIQUE, STB_LOCAL,
    STB_WEAK, STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE,
};
use object::pod;
use object::read::elf::{FileHeader, Sym};

use super::{ElfError, ElfFile, Section};
use crate::symbol::Svma;
use crate::symbol::image::FileRange;

/// The largest programs known have about a million functions.
const MAX_SYMBOLS: u64 = 4_000_000;
/// Functions kept; 24 MB.
const MAX_FUNCTIONS: usize = 2_000_000;
/// Symbols read at a time.
const CHUNK: u16 = 4_096;
/// How many functions may start between the one that is looked for and the address in it.
const MAX_NESTED: usize = 16;

/// Functions by address.
#[derive(Debug, Default)]
pub(super) struct SymbolTable {
    /// Address that entries count from.
    base: u64,
    entries: Box<[Entry]>,
    /// Where the names are.
    pub(super) strings: FileRange,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    /// First address behind it. For a symbol without a size: where its section ends, or the next
    /// function starts.
    end: u32,
    /// Offset in the string table, and [`IS_SIZELESS`].
    name: u32,
}

/// Set in an entry's name when its end is a guess.
const IS_SIZELESS: u32 = 1 << 31;

/// What a table says of a function.
pub(super) struct Function {
    /// Offset of its name in the string table.
    pub(super) name: u64,
    pub(super) start: Svma,
    /// Whether the symbol tells where it ends.
    pub(super) has_size: bool,
}

/// An entry with what is needed only for sorting. Lower ranks win among aliases.
#[derive(Clone, Copy)]
struct Candidate {
    entry: Entry,
    rank: u8,
}

/// Set in a rank when the symbol states no size.
const NO_SIZE: u8 = 16;

impl SymbolTable {
    /// Reads the table that `section` describes.
    pub(super) fn load(elf: &ElfFile, section: &Section) -> Result<Self, ElfError> {
        if elf.is_64 {
            load::<object::elf::FileHeader64<Endianness>>(elf, section)
        } else {
            load::<object::elf::FileHeader32<Endianness>>(elf, section)
        }
    }

    /// Functions that cover `svma`, best first.
    pub(super) fn lookup(&self, svma: Svma) -> impl Iterator<Item = Function> {
        let address = svma.0.checked_sub(self.base).and_then(|a| u32::try_from(a).ok());
        let behind = address.map_or(0, |a| self.entries.partition_point(|entry| entry.start <= a));
        self.entries[behind.saturating_sub(MAX_NESTED)..behind]
            .iter()
            .rev()
            .filter(move |entry| address.is_some_and(|address| address < entry.end))
            .map(|entry| Function {
                name: u64::from(entry.name & !IS_SIZELESS),
                start: Svma(self.base + u64::from(entry.start)),
                has_size: entry.name & IS_SIZELESS == 0,
            })
    }

    /// Where the functions begin.
    pub(super) fn starts(&self) -> impl Iterator<Item = Svma> {
        self.entries.iter().map(|entry| Svma(self.base + u64::from(entry.start)))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.entries)
    }
}

fn load<Elf: FileHeader<Endian = Endianness>>(
    elf: &ElfFile,
    section: &Section,
) -> Result<SymbolTable, ElfError> {
    let what = "symbol table";
    let entry_size = size_of::<Elf::Sym>() as u64;
    let count = section.file.size / entry_size;
    if count > MAX_SYMBOLS {
        return Err(ElfError::TooMany { what, count, limit: MAX_SYMBOLS });
    }
    let strings = elf.sections.get(section.link as usize).map(|strings| strings.file);
    let strings = strings.ok_or(ElfError::Corrupt { what: "string table" })?;
    let base = elf.segments.iter().map(|segment| segment.svma.0).min().unwrap_or(0);
    let mut candidates = Vec::new();
    for first in (0..count).step_by(usize::from(CHUNK)) {
        let size = u64::from(CHUNK).min(count - first) * entry_size;
        let range =
            FileRange { offset: section.file.offset.saturating_add(first * entry_size), size };
        let chunk = elf.image.read(range, size, what)?;
        let symbols: &[Elf::Sym] =
            pod::slice_from_all_bytes(&chunk).map_err(|()| ElfError::Corrupt { what })?;
        candidates.extend(symbols.iter().filter_map(|symbol| candidate(elf, base, symbol)));
        if candidates.len() > MAX_FUNCTIONS {
            let count = candidates.len() as u64;
            return Err(ElfError::TooMany { what, count, limit: MAX_FUNCTIONS as u64 });
        }
    }
    Ok(SymbolTable { base, entries: sort(candidates), strings })
}

/// The symbol as an entry, if it is a function of this file.
fn candidate<S: Sym<Endian = Endianness>>(
    elf: &ElfFile,
    base: u64,
    symbol: &S,
) -> Option<Candidate> {
    let index = symbol.st_shndx(elf.endian);
    let name = symbol.st_name(elf.endian);
    if index == SHN_UNDEF || index == SHN_ABS || name == 0 || name & IS_SIZELESS != 0 {
        return None;
    }
    let kind_rank = match symbol.st_type() {
        STT_FUNC | STT_GNU_IFUNC => 0,
        // Labels in assembly. On these machines local ones mark where code and data alternate.
        STT_NOTYPE
            if symbol.st_bind() == STB_LOCAL
                && matches!(elf.machine, EM_ARM | EM_AARCH64 | EM_RISCV) =>
        {
            return None;
        }
        STT_NOTYPE => 4,
        _ => return None,
    };
    let bind_rank = match symbol.st_bind() {
        STB_GLOBAL | STB_GNU_UNIQUE => 0,
        STB_WEAK => 1,
        _ => 2,
    };
    let start = symbol.st_value(elf.endian).into();
    let section_end = executable_end(elf, index.0.into(), start)?;
    let size: u64 = symbol.st_size(elf.endian).into();
    let size_rank = if size == 0 { NO_SIZE } else { 0 };
    let end = if size == 0 { section_end } else { start.saturating_add(size) };
    let entry = Entry {
        start: u32::try_from(start.checked_sub(base)?).ok()?,
        end: u32::try_from(end.saturating_sub(base)).unwrap_or(u32::MAX),
        name: name | if size == 0 { IS_SIZELESS } else { 0 },
    };
    Some(Candidate { entry, rank: size_rank + kind_rank + bind_rank })
}

/// End of the executable section that holds `address`; none when data is there.
fn executable_end(elf: &ElfFile, index: u64, address: u64) -> Option<u64> {
    let holds = |section: &&Section| (section.svma.0..section.end()).contains(&address);
    let section = usize::try_from(index).ok().and_then(|index| elf.sections.get(index));
    // Indexes past 16 bits are kept elsewhere; the address tells as well.
    let section = section
        .filter(holds)
        .or_else(|| elf.sections.iter().filter(|section| section.is_executable()).find(holds))?;
    section.is_executable().then(|| section.end())
}

/// Sorts, keeps the best of each set of aliases, and ends sizeless symbols where the next starts.
fn sort(mut candidates: Vec<Candidate>) -> Box<[Entry]> {
    candidates.sort_unstable_by_key(|c| (c.entry.start, c.rank, c.entry.name));
    candidates.dedup_by_key(|c| c.entry.start);
    let mut next_start = u32::MAX;
    for candidate in candidates.iter_mut().rev() {
        if candidate.rank & NO_SIZE != 0 {
            candidate.entry.end = candidate.entry.end.min(next_start);
        }
        next_start = candidate.entry.start;
    }
    candidates.into_iter().map(|candidate| candidate.entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(start: u32, end: u32, name: u32, rank: u8) -> Candidate {
        Candidate { entry: Entry { start, end, name }, rank }
    }

    fn names(candidates: Vec<Candidate>, address: u64) -> Vec<u64> {
        let table = SymbolTable { base: 0x1000, entries: sort(candidates), ..Default::default() };
        table.lookup(Svma(0x1000 + address)).map(|function| function.name).collect()
    }

    #[test]
    fn a_global_function_wins_over_its_weak_and_local_aliases() {
        let aliases = || vec![candidate(0, 8, 1, 2), candidate(0, 8, 2, 0), candidate(0, 8, 3, 1)];
        assert_eq!(names(aliases(), 4), [2]);
    }

    #[test]
    fn a_function_ends_where_its_size_says() {
        assert_eq!(names(vec![candidate(0, 8, 1, 0)], 7), [1]);
        assert_eq!(names(vec![candidate(0, 8, 1, 0)], 8), [] as [u64; 0]);
    }

    #[test]
    fn a_sizeless_symbol_reaches_to_the_next_one() {
        let symbols = || vec![candidate(0, 100, 1, NO_SIZE), candidate(32, 40, 2, 0)];
        assert_eq!(names(symbols(), 31), [1]);
        assert_eq!(names(symbols(), 50), [] as [u64; 0]);
    }

    #[test]
    fn a_function_goes_on_behind_another_that_lies_inside_it() {
        let symbols = || vec![candidate(0, 100, 1, 0), candidate(10, 20, 2, 0)];
        assert_eq!(names(symbols(), 15), [2, 1]);
        assert_eq!(names(symbols(), 50), [1]);
    }
}
