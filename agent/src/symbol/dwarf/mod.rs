//! Debug information: the functions inlined at an address, and source lines. Names stay mangled.
//!
//! `addr2line` does the work, on readers of ours (`reader`) that fetch pages of a section when they
//! are touched and stop when a lookup reads, or recurses, more than it may.

mod limits;
mod reader;
mod section;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use addr2line::Context;
use gimli::{Dwarf, SectionId};
use object::Endianness;

use super::Svma;
use super::elf::ElfFile;
use limits::Meter;
use reader::SectionReader;
use section::SectionBytes;

/// Why a file's debug information is not used. Frames still have names from the symbol table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DebugInfoLoss {
    /// Its sections are larger than the limit.
    TooLarge,
    /// Looking up an address read more of it than the limit.
    TooCostly,
    /// It is nested deeper than a compiler would.
    TooDeep,
    /// It makes no sense.
    Corrupt,
}

impl DebugInfoLoss {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 4] = [Self::TooLarge, Self::TooCostly, Self::TooDeep, Self::Corrupt];

    /// The word that metrics show.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TooLarge => "debug_info_too_large",
            Self::TooCostly => "debug_info_too_costly",
            Self::TooDeep => "debug_info_too_deep",
            Self::Corrupt => "debug_info_corrupt",
        }
    }
}

/// How much of a file's debug information may be looked at.
#[derive(Clone, Copy, Debug)]
pub struct DebugInfoLimits {
    /// Size of all sections together, in bytes, decompressed.
    pub sections_bytes: u64,
    /// Size of the sections that are compressed and so have to be held whole, in bytes.
    pub compressed_bytes: u64,
    /// Bytes read, counted again each time, to open it; and once more as many for lookups before it
    /// has to be opened anew. What is made from them takes up to 35 times as much memory for a file
    /// that was made for it, and two to six times as much for a real one.
    pub read_bytes: u64,
}

impl Default for DebugInfoLimits {
    fn default() -> Self {
        Self { sections_bytes: 256 << 20, compressed_bytes: 32 << 20, read_bytes: 8 << 20 }
    }
}

/// A function at an address, as debug information has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFrame {
    /// The linkage name, or the plain name where the language has no other.
    pub name: Option<String>,
    /// Path of the source file, of the call for all but the innermost.
    pub file: Option<String>,
    /// Line in `file`; 0 where unknown.
    pub line: u32,
}

/// The debug information of one file, parsed as far as lookups needed it.
pub struct DebugInfo {
    context: Context<SectionReader>,
    meter: Arc<Meter>,
}

impl DebugInfo {
    /// Prepares lookups; `None` if the file has no debug information.
    ///
    /// # Errors
    /// Says why there is some that is not used.
    pub fn open(elf: &ElfFile, limits: &DebugInfoLimits) -> Result<Option<Self>, DebugInfoLoss> {
        if !elf.section(".debug_info").is_some_and(super::elf::Section::has_bytes) {
            return Ok(None);
        }
        let meter = Arc::new(Meter::new(limits.read_bytes));
        let mut budget = *limits;
        let dwarf = Dwarf::load(|id| open_section(elf, id, &mut budget, &meter))?;
        let context = guarded(&meter, || Context::from_dwarf(dwarf))?;
        meter.opened();
        Ok(Some(Self { context, meter }))
    }

    /// The functions at `svma`, innermost inlined one first; empty where nothing is known.
    /// Needs 1 MiB of stack.
    ///
    /// # Errors
    /// Says what went wrong. After any other than [`DebugInfoLoss::Corrupt`] later answers are worth
    /// nothing: the limits were met, and stay so until the information is opened anew.
    pub fn frames(&self, svma: Svma) -> Result<Vec<SourceFrame>, DebugInfoLoss> {
        guarded(&self.meter, || {
            let mut found = self.context.find_frames(svma.0).skip_all_loads()?;
            let mut frames = Vec::new();
            while let Some(frame) = found.next()? {
                let location = frame.location.as_ref();
                frames.push(SourceFrame {
                    name: frame.function.and_then(|f| Some(f.raw_name().ok()?.into_owned())),
                    file: location.and_then(|location| location.file).map(str::to_owned),
                    line: location.and_then(|location| location.line).unwrap_or(0),
                });
            }
            Ok(frames)
        })
    }

    /// Memory held, in bytes: exact for pages, an estimate for what was made from them.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.meter.memory_bytes()
    }
}

fn open_section(
    elf: &ElfFile,
    id: SectionId,
    budget: &mut DebugInfoLimits,
    meter: &Arc<Meter>,
) -> Result<SectionReader, DebugInfoLoss> {
    // Only what names and lines are made from: no types, macros or locations of variables.
    let section = match id {
        SectionId::DebugAbbrev
        | SectionId::DebugAddr
        | SectionId::DebugAranges
        | SectionId::DebugInfo
        | SectionId::DebugLine
        | SectionId::DebugLineStr
        | SectionId::DebugRanges
        | SectionId::DebugRngLists
        | SectionId::DebugStr
        | SectionId::DebugStrOffsets => elf.section(id.name()).filter(|s| s.has_bytes()),
        _ => None,
    };
    let bytes = match section {
        Some(section) => SectionBytes::open(elf, section, budget, meter)?,
        None => SectionBytes::empty(meter),
    };
    let endian = match elf.endian() {
        Endianness::Little => gimli::RunTimeEndian::Little,
        Endianness::Big => gimli::RunTimeEndian::Big,
    };
    Ok(SectionReader::new(Arc::new(bytes), endian))
}

/// Runs a lookup inside the meter's limits.
///
/// The libraries below are fuzzed by their authors and do not panic on any input we know of. But the
/// input comes from every process on the host, and one lookup that is lost is better than an agent.
fn guarded<T>(
    meter: &Meter,
    lookup: impl FnOnce() -> Result<T, gimli::Error>,
) -> Result<T, DebugInfoLoss> {
    meter.start();
    let result = catch_unwind(AssertUnwindSafe(lookup)).map_err(|_| DebugInfoLoss::Corrupt)?;
    // Errors about single entries are swallowed below: the meter remembers them.
    match (meter.exceeded(), result) {
        (Some(loss), _) => Err(loss),
        (None, Ok(value)) => Ok(value),
        (None, Err(_)) => Err(DebugInfoLoss::Corrupt),
    }
}
