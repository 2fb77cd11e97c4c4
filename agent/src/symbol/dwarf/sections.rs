//! The debug sections of one file, and views of them as `gimli` wants them.

use std::sync::Arc;

use gimli::{DebugInfo, Dwarf, Reader as _, RunTimeEndian, SectionId};
use object::Endianness;

use super::limits::Meter;
use super::reader::SectionReader;
use super::section::SectionBytes;
use super::{DebugInfoLimits, DebugInfoLoss};
use crate::symbol::elf::{ElfFile, Section};

/// Which names the sections have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// `.debug_info`
    Plain,
    /// `.debug_info.dwo`, as in files split off at compile time.
    Split,
}

/// Only what names and lines are made from: no types, macros or locations of variables.
const WANTED: [SectionId; 12] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugCuIndex,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugAranges,
    SectionId::DebugTuIndex,
];

/// The sections that are there. Their bytes are read when they are looked at.
pub(super) struct Sections {
    found: Vec<(SectionId, Arc<SectionBytes>)>,
    empty: Arc<SectionBytes>,
    endian: RunTimeEndian,
}

impl Sections {
    pub(super) fn open(
        elf: &ElfFile,
        naming: Naming,
        limits: &DebugInfoLimits,
        meter: &Arc<Meter>,
    ) -> Result<Self, DebugInfoLoss> {
        let mut budget = *limits;
        let mut found = Vec::new();
        for id in WANTED {
            if let Some(section) = section(elf, id, naming) {
                let bytes = SectionBytes::open(elf, section, &mut budget, meter)?;
                found.push((id, Arc::new(bytes)));
            }
        }
        let endian = match elf.endian() {
            Endianness::Little => RunTimeEndian::Little,
            Endianness::Big => RunTimeEndian::Big,
        };
        Ok(Self { found, empty: Arc::new(SectionBytes::empty(meter)), endian })
    }

    /// A reader of one section; of nothing if there is no such section.
    pub(super) fn reader(&self, id: SectionId) -> SectionReader {
        let found = self.found.iter().find(|(found, _)| *found == id);
        let bytes = found.map_or(&self.empty, |(_, bytes)| bytes);
        SectionReader::new(Arc::clone(bytes), self.endian)
    }

    pub(super) fn empty(&self) -> SectionReader {
        SectionReader::new(Arc::clone(&self.empty), self.endian)
    }

    /// All of the file.
    pub(super) fn whole(&self) -> Dwarf<SectionReader> {
        let load = |id| -> Result<_, std::convert::Infallible> { Ok(self.reader(id)) };
        let Ok(dwarf) = Dwarf::load(load);
        dwarf
    }

    /// The file as if it had one unit only: the one at `unit` of `.debug_info`. To be used only for
    /// units that do not refer to others.
    pub(super) fn unit(&self, unit: UnitPlace) -> gimli::Result<Dwarf<SectionReader>> {
        let (start, size) = (unit.start as usize, unit.size as usize);
        let info = self.reader(SectionId::DebugInfo).piece(start, size)?;
        let dwarf = self.whole();
        Ok(Dwarf {
            debug_info: DebugInfo::from(info),
            // It speaks of places in all of `.debug_info`.
            debug_aranges: self.empty().into(),
            ..dwarf
        })
    }

    /// The file as if it had these units only, sorted by place: a header of ours spans what lies
    /// between them. They stay where they are, because they refer to each other.
    pub(super) fn units(&self, units: &[UnitPlace]) -> Dwarf<SectionReader> {
        let info = self.reader(SectionId::DebugInfo);
        let starts = units.iter().map(|unit| unit.start as usize).chain([info.len()]);
        let ends = std::iter::once(0).chain(units.iter().map(|unit| unit.end()));
        let gaps = ends.zip(starts).filter(|(end, start)| start.saturating_sub(*end) >= MASK_BYTES);
        let masks = gaps.filter_map(|(end, start)| Some((end, mask(start - end, self.endian)?)));
        let info = info.section().masked(masks.collect());
        let dwarf = self.whole();
        Dwarf {
            debug_info: DebugInfo::from(SectionReader::new(Arc::new(info), self.endian)),
            debug_aranges: self.empty().into(),
            ..dwarf
        }
    }

    /// Forgets the bytes that can be read again.
    pub(super) fn let_go(&mut self) {
        for (_, bytes) in &mut self.found {
            if let Some(fresh) = bytes.fresh() {
                *bytes = Arc::new(fresh);
            }
        }
    }

    /// Memory that stays after [`Self::let_go`], in bytes.
    pub(super) fn fixed_bytes(&self) -> usize {
        self.found.iter().map(|(_, bytes)| bytes.fixed_bytes()).sum()
    }
}

/// A section with bytes, by what `gimli` calls it.
fn section(elf: &ElfFile, id: SectionId, naming: Naming) -> Option<&Section> {
    let name = match naming {
        Naming::Plain => id.name(),
        // The index of a package has one name only.
        Naming::Split => id.dwo_name().unwrap_or_else(|| id.name()),
    };
    elf.section(name).filter(|section| section.has_bytes())
}

/// Where a unit lies in `.debug_info`, header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct UnitPlace {
    pub(super) start: u32,
    pub(super) size: u32,
    /// Whether its entries refer to none of another unit.
    pub(super) alone: bool,
}

impl UnitPlace {
    const fn end(self) -> usize {
        self.start as usize + self.size as usize
    }
}

/// Bytes of the header below.
pub(super) const MASK_BYTES: usize = 11;

/// The header of a unit of `size` bytes that nobody can read, for its abbreviations are nowhere.
fn mask(size: usize, endian: RunTimeEndian) -> Option<[u8; MASK_BYTES]> {
    let length = u32::try_from(size.checked_sub(4)?).ok().filter(|length| *length < 0xffff_fff0)?;
    let version = 4_u16;
    let (length, version) = match endian {
        RunTimeEndian::Little => (length.to_le_bytes(), version.to_le_bytes()),
        RunTimeEndian::Big => (length.to_be_bytes(), version.to_be_bytes()),
    };
    let mut header = [0xff; MASK_BYTES];
    header[..4].copy_from_slice(&length);
    header[4..6].copy_from_slice(&version);
    header[10] = 8;
    Some(header)
}
