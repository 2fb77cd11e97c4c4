//! Debug information: the functions inlined at an address, and source lines. Names stay mangled.
//!
//! `addr2line` does the work, on readers of ours (`reader`) that fetch pages of a section when they
//! are touched and stop when a lookup reads, or recurses, more than it may. It keeps the parsed form
//! of every unit, several times the size of the file's own, so it is shown one unit at a time
//! (`index`), together with those that it takes names from (`references`, `sections`).

mod index;
mod limits;
mod reader;
mod references;
mod section;
mod sections;
mod split;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use addr2line::{Context, LookupContinuation as _, LookupResult};
use gimli::Dwarf;
use rustc_hash::FxHashMap;

use super::Svma;
use super::elf::ElfFile;
use index::{Indexed, UnitIndex};
use limits::Meter;
use reader::SectionReader;
use sections::{Naming, Sections, UnitPlace};
use split::SplitFiles;

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
    /// The compiler left a part of it in another file (`.dwo`, `.dwp`), which is not there: functions
    /// inlined at an address are not told.
    SplitMissing,
}

impl DebugInfoLoss {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 5] =
        [Self::TooLarge, Self::TooCostly, Self::TooDeep, Self::Corrupt, Self::SplitMissing];

    /// The word that metrics show.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TooLarge => "debug_info_too_large",
            Self::TooCostly => "debug_info_too_costly",
            Self::TooDeep => "debug_info_too_deep",
            Self::Corrupt => "debug_info_corrupt",
            Self::SplitMissing => "debug_info_split_missing",
        }
    }

    /// What happened to the debug information, as a sentence.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::TooLarge => {
                "It is larger than the agent reads: source lines and inlined functions are missing."
            }
            Self::TooCostly => {
                "Looking up an address in it costs more than the agent may spend: source lines and \
                 inlined functions are missing."
            }
            Self::TooDeep => {
                "It is nested deeper than a compiler would: source lines and inlined functions are \
                 missing."
            }
            Self::Corrupt => "It is damaged: source lines and inlined functions are missing.",
            Self::SplitMissing => {
                "Its compiler left a part of it in .dwo files, which are not here: inlined \
                 functions are missing."
            }
        }
    }

    /// What would help, as a sentence.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::TooLarge | Self::TooCostly => {
                "Build the program with less debug information: -g1 has what profiles need."
            }
            Self::TooDeep | Self::Corrupt => {
                "Install the program anew, together with its debug symbols."
            }
            Self::SplitMissing => {
                "Keep the .dwo files where the compiler put them, put a .dwp file beside the \
                 program, or build it without -gsplit-dwarf."
            }
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

/// The debug information of one file. Units are parsed when a lookup needs them, and let go when
/// they take too much memory; what stays is which unit has which addresses.
pub struct DebugInfo {
    sections: Sections,
    index: Indexed,
    units: Vec<(UnitPlace, Context<SectionReader>)>,
    split: SplitFiles,
    supplement: Option<Sections>,
    meter: Arc<Meter>,
    /// What units need beside themselves, which takes longer to find out than to remember.
    closures: FxHashMap<UnitPlace, Box<[UnitPlace]>>,
    asked: bool,
}

/// Parsed units of one file that are kept, in bytes; past this, all are let go.
const MAX_UNITS_BYTES: usize = 4 << 20;
/// What stands for all units in a file that can only be looked at as a whole.
const WHOLE: UnitPlace = UnitPlace { start: 0, size: u32::MAX, alone: true };

impl DebugInfo {
    /// Prepares lookups; `None` if the file has no debug information. `path` is the program's: split
    /// debug information lies beside it.
    ///
    /// # Errors
    /// Says why there is some that is not used.
    pub fn open(
        elf: &ElfFile,
        path: &Path,
        supplement: Option<&ElfFile>,
        limits: &DebugInfoLimits,
    ) -> Result<Option<Self>, DebugInfoLoss> {
        if !elf.section(".debug_info").is_some_and(super::elf::Section::has_bytes) {
            return Ok(None);
        }
        let meter = Arc::new(Meter::new(limits.read_bytes));
        let open = |elf| Sections::open(elf, Naming::Plain, limits, &meter);
        let (sections, supplement) = (open(elf)?, supplement.map(open).transpose()?);
        let index = guarded(&meter, || UnitIndex::build(&sections))?;
        let split = SplitFiles::new(path, *limits, &meter);
        let (units, closures) = Default::default();
        let mut info =
            Self { sections, index, units, split, supplement, meter, closures, asked: false };
        info.let_go();
        Ok(Some(info))
    }

    /// The functions at `svma`, innermost inlined one first; empty where nothing is known.
    /// Needs 1 MiB of stack.
    ///
    /// # Errors
    /// Says what went wrong. After any other than [`DebugInfoLoss::Corrupt`] later answers are worth
    /// nothing: the limits were met, and are met again.
    pub fn frames(&mut self, svma: Svma) -> Result<Vec<SourceFrame>, DebugInfoLoss> {
        self.asked = true;
        if self.memory_bytes() > MAX_UNITS_BYTES {
            self.shrink();
        }
        match self.look_up(svma) {
            // The limit counts all lookups so far: a fresh start may get through.
            Err(DebugInfoLoss::TooCostly) if self.units.len() > 1 || self.meter.has_read() => {
                self.let_go();
                self.look_up(svma)
            }
            found => found,
        }
    }

    fn look_up(&mut self, svma: Svma) -> Result<Vec<SourceFrame>, DebugInfoLoss> {
        let candidates: Vec<UnitPlace> = match &self.index {
            Indexed::Index(index) => index.find(svma.0).collect(),
            Indexed::Whole => vec![WHOLE],
        };
        for place in candidates {
            let at = match self.units.iter().position(|(known, _)| *known == place) {
                Some(at) => at,
                None => self.parse(place)?,
            };
            let Self { units, split, meter, .. } = self;
            let frames = guarded(meter, || frames_of(&units[at].1, split, svma))?;
            if !frames.is_empty() {
                return Ok(frames);
            }
        }
        Ok(Vec::new())
    }

    /// Returns where the unit is among those that are parsed.
    fn parse(&mut self, place: UnitPlace) -> Result<usize, DebugInfoLoss> {
        let meter = Arc::clone(&self.meter);
        let context = guarded(&meter, || Context::from_dwarf(self.view(place)?))?;
        if place == WHOLE {
            self.meter.keep();
        }
        self.units.push((place, context));
        Ok(self.units.len() - 1)
    }

    /// The file as far as it is needed to read the unit.
    fn view(&mut self, place: UnitPlace) -> gimli::Result<Dwarf<SectionReader>> {
        match &self.index {
            Indexed::Whole => {
                let mut dwarf = self.sections.whole();
                if let Some(supplement) = &self.supplement {
                    dwarf.set_sup(supplement.whole());
                }
                Ok(dwarf)
            }
            Indexed::Index(_) if place.alone => self.sections.unit(place),
            Indexed::Index(index) => {
                if let Some(needed) = self.closures.get(&place) {
                    return Ok(self.sections.units(needed));
                }
                let mark = self.meter.mark();
                let needed = references::closure(&self.sections, index, place)?;
                self.meter.forget_since(mark);
                let dwarf = self.sections.units(&needed);
                self.closures.insert(place, needed);
                Ok(dwarf)
            }
        }
    }

    const fn is_by_unit(&self) -> bool {
        matches!(self.index, Indexed::Index(_))
    }

    /// Whether, since the last call, a part was asked for that lies in a file that is not there.
    pub(super) fn take_split_missing(&mut self) -> bool {
        self.split.take_missing()
    }

    /// Lets go of what lookups made if none came since the last call.
    pub fn end_window(&mut self) {
        if !std::mem::take(&mut self.asked) {
            self.shrink();
        }
    }

    /// Lets go of what lookups made, if it can be had again for little.
    pub fn shrink(&mut self) {
        if self.is_by_unit() {
            self.let_go();
        }
    }

    /// Whether another file is open for it.
    pub(in crate::symbol) const fn has_supplement(&self) -> bool {
        self.supplement.is_some()
    }

    fn let_go(&mut self) {
        self.units.clear();
        self.split.let_go();
        self.sections.let_go();
        let mut fixed = self.sections.fixed_bytes();
        if let Some(supplement) = &mut self.supplement {
            supplement.let_go();
            fixed += supplement.fixed_bytes();
        }
        if let Indexed::Index(index) = &self.index {
            let closures = self.closures.values().map(|units| size_of_val(&**units));
            fixed += index.memory_bytes() + closures.sum::<usize>();
        }
        self.meter.reset(fixed);
    }

    /// Memory held, in bytes: exact for pages, an estimate for what was made from them.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.meter.memory_bytes()
    }
}

fn frames_of(
    context: &Context<SectionReader>,
    split: &mut SplitFiles,
    svma: Svma,
) -> Result<Vec<SourceFrame>, gimli::Error> {
    let mut lookup = context.find_frames(svma.0);
    let mut found = loop {
        match lookup {
            LookupResult::Output(found) => break found?,
            LookupResult::Load { load, continuation } => {
                lookup = continuation.resume(split.load(&load));
            }
        }
    };
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

#[cfg(test)]
mod tests {
    use std::fs::File;

    use object::{Object as _, ObjectSymbol as _, SymbolKind};

    use super::*;

    /// Addresses of functions of this test's own program, which was optimised across units.
    fn functions(path: &Path) -> Vec<Svma> {
        let bytes = std::fs::read(path).expect("readable");
        let file = object::File::parse(&*bytes).expect("an ELF file");
        let functions = file.symbols().filter(|s| s.kind() == SymbolKind::Text && s.size() > 64);
        let mut functions: Vec<_> = functions.map(|s| Svma(s.address() + s.size() / 2)).collect();
        functions.sort_unstable();
        functions
    }

    #[test]
    fn every_loss_is_explained_with_what_would_help() {
        for loss in DebugInfoLoss::ALL {
            for sentence in [loss.explanation(), loss.remedy()] {
                let begins = sentence.starts_with(|first: char| first.is_ascii_uppercase());
                let sound = begins && sentence.ends_with('.') && !sentence.contains("  ");
                assert!(sound, "{}: {sentence}", loss.label());
            }
        }
    }

    #[test]
    fn units_one_by_one_say_what_the_whole_file_says() {
        let path = std::env::current_exe().expect("a path");
        let elf = ElfFile::open(File::open(&path).expect("readable")).expect("an ELF file");
        let limits = DebugInfoLimits::default();
        let open = || DebugInfo::open(&elf, &path, None, &limits).expect("sound").expect("some");
        let (mut by_unit, mut whole) = (open(), open());
        whole.index = Indexed::Whole;
        let functions = functions(&path);
        let mut inlined = 0;
        for svma in functions.iter().step_by(functions.len() / 200) {
            let expected = whole.frames(*svma).expect("sound");
            inlined += usize::from(expected.len() > 1);
            assert_eq!(by_unit.frames(*svma).expect("sound"), expected, "{svma:?}");
        }
        assert!(inlined > 10 && by_unit.is_by_unit(), "{inlined} with inlined functions");
        assert!(by_unit.memory_bytes() < whole.memory_bytes());
    }
}
