//! The section that holds the descriptions: its entries by position, and those of an address.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{
    CfiError,
    cursor::Cursor,
    entry::{Cie, Fde},
    index::{Header, Index},
    window::Window,
};
use crate::symbol::{
    Svma,
    elf::{ElfFile, Section},
    image::{FileRange, Image, ReadError},
};

/// Descriptions in a section without the linker's table: more are not looked for.
const MAX_SCANNED: usize = 1 << 18;
/// A section that has to be scanned.
const MAX_SCANNED_BYTES: u64 = 256 << 20;
/// A compressed section, which stays in memory.
const MAX_DECOMPRESSED_BYTES: u64 = 16 << 20;
/// A description: those of real files have some hundred bytes.
const MAX_ENTRY_BYTES: u64 = 1 << 20;
/// A common entry: those of real files have some thirty bytes.
const MAX_CIE_BYTES: u64 = 1 << 10;
/// Common entries kept; a file has a handful.
const MAX_CIES: usize = 1024;
/// Read at a time: the descriptions of neighbouring functions are neighbours, but not in all files.
const WINDOW_BYTES: u64 = 4 << 10;
/// Bytes of descriptions that may be looked at for one page: those of real files take up to 5 MiB.
const MAX_LOOKED_AT_BYTES: u64 = 64 << 20;
/// What an entry counts for, be it without a byte in it.
const ENTRY_COST: u64 = 64;
/// What a byte of instructions counts for, which are not only looked at but run.
const INSTRUCTION_COST: u64 = 8;

/// `.eh_frame` or `.debug_frame`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    EhFrame,
    DebugFrame,
}

/// One file's descriptions.
#[derive(Debug)]
pub(in crate::unwind) struct FrameSection {
    window: Window,
    svma: u64,
    format: Format,
    index: Index,
    cies: FxHashMap<u64, Option<Arc<Cie>>>,
}

impl FrameSection {
    /// Finds the descriptions of a file.
    ///
    /// # Errors
    /// If it has none, or they can't be read.
    pub(in crate::unwind) fn open(elf: &ElfFile) -> Result<Self, CfiError> {
        let with_bytes = |name| elf.section(name).filter(|section| section.has_bytes());
        let header = Header::read(elf);
        let mut frames = match (with_bytes(".eh_frame"), &header) {
            (Some(section), _) => Some(Self::of_section(elf, section, Format::EhFrame)?),
            (None, Some(header)) => Self::of_segment(elf, header),
            _ => None,
        };
        if let Some(frames) = &mut frames {
            let header = header.filter(|header| header.frames == frames.svma);
            frames.index = match header.and_then(|header| Index::of(elf, &header)) {
                Some(index) => index,
                None => frames.scan()?,
            };
        }
        // The linker leaves a terminator where all input had none: other sections may know.
        if let Some(frames) = frames.filter(|frames| !frames.index.is_empty()) {
            return Ok(frames);
        }
        let section = with_bytes(".debug_frame").ok_or(CfiError::None)?;
        let mut frames = Self::of_section(elf, section, Format::DebugFrame)?;
        frames.index = frames.scan()?;
        if frames.index.is_empty() { Err(CfiError::None) } else { Ok(frames) }
    }

    fn of_section(elf: &ElfFile, section: &Section, format: Format) -> Result<Self, CfiError> {
        let (image, range) = if section.is_compressed() {
            let bytes = elf.decompressed(section, MAX_DECOMPRESSED_BYTES);
            let image = Image::from_bytes(bytes.ok_or(CfiError::Compressed)?.into_vec());
            let size = image.size_bytes();
            (image, FileRange { offset: 0, size })
        } else {
            (elf.image().clone(), section.file)
        };
        Ok(Self::new(image, range, section.svma.0, format))
    }

    /// The descriptions of a file without section headers: from where the linker's header says to
    /// the end of what is loaded there. They end with a terminator.
    fn of_segment(elf: &ElfFile, header: &Header) -> Option<Self> {
        let segments = elf.segments();
        let (segment, into) = segments.iter().find_map(|segment| {
            let into = header.frames.checked_sub(segment.svma.0)?;
            (into < segment.file.size).then_some((segment, into))
        })?;
        let offset = elf.offset_of(Svma(header.frames))?.0;
        let range = FileRange { offset, size: segment.file.size - into };
        Some(Self::new(elf.image().clone(), range, header.frames, Format::EhFrame))
    }

    fn new(image: Image, range: FileRange, svma: u64, format: Format) -> Self {
        Self {
            window: Window::new(image, range, WINDOW_BYTES),
            svma,
            format,
            index: Index::Scanned(Box::default()),
            cies: FxHashMap::default(),
        }
    }

    /// All descriptions, in order of address.
    fn scan(&mut self) -> Result<Index, CfiError> {
        let size = self.window.size();
        if size > MAX_SCANNED_BYTES {
            let limit = MAX_SCANNED_BYTES;
            return Err(ReadError::TooLarge { what: "frame descriptions", size, limit }.into());
        }
        // Each is looked at twice, and with the common ones.
        self.window.allow(8 * size + MAX_LOOKED_AT_BYTES);
        let mut found = Vec::new();
        let mut at = 0;
        while found.len() < MAX_SCANNED
            && let Some((length, next)) = self.entry_at(at)
        {
            self.window.spend(ENTRY_COST);
            if length > 0
                && let Some((start, end)) = self.fde(at, |_, fde| (fde.start, fde.end))
                && start < end
            {
                found.push((start, at));
            }
            at = next;
        }
        if self.window.is_used_up() {
            return Err(CfiError::TooCostly);
        }
        self.window.rest();
        found.sort_unstable();
        Ok(Index::Scanned(found.into()))
    }

    /// What follows is for another page: as much may be looked at as a page takes.
    pub(in crate::unwind) fn begin(&mut self) {
        self.window.allow(MAX_LOOKED_AT_BYTES);
        self.index.begin();
    }

    /// Calls `each` with every description that covers a part of `start..end`, in order of address.
    pub(in crate::unwind) fn each_in(
        &mut self,
        start: u64,
        end: u64,
        mut each: impl FnMut(&Cie, &Fde<'_>),
    ) {
        let Some(mut number) = self.index.first_at_or_before(start) else { return };
        while let Some((function, position)) = self.index.get(number)
            && function < end
            && !self.window.is_used_up()
        {
            let spent = self.fde(position, |cie, fde| {
                if fde.start < end && fde.end > start {
                    each(cie, fde);
                }
                (cie.instructions.len() + fde.instructions.len()) as u64
            });
            self.window.spend(INSTRUCTION_COST * spent.unwrap_or(0));
            number += 1;
        }
    }

    /// From the end of the last function before an address to the start of the next one; empty in a
    /// function.
    pub(in crate::unwind) fn gap_at(&mut self, svma: u64) -> (u64, u64) {
        let Some(number) = self.index.first_at_or_before(svma) else { return (0, u64::MAX) };
        let described = self
            .index
            .get(number)
            .and_then(|(_, position)| self.fde(position, |_, fde| (fde.start, fde.end)));
        match described {
            Some((start, _)) if svma < start => (0, start),
            Some((_, end)) if svma < end => (svma, svma),
            described => {
                let end = described.map_or(0, |(_, end)| end);
                let next = self.index.get(number + 1).map(|(function, _)| function);
                (end, next.unwrap_or(u64::MAX))
            }
        }
    }

    /// Parses the description at `position`; `None` if there is none, or another entry.
    fn fde<R>(&mut self, position: u64, read: impl FnOnce(&Cie, &Fde<'_>) -> R) -> Option<R> {
        let (length, next) = self.entry_at(position)?;
        if !(4..=MAX_ENTRY_BYTES).contains(&length) {
            return None;
        }
        let at = next - length;
        let pointer = u64::from(Cursor::new(self.window.bytes(at, 4)?, 0).u32()?);
        let cie_at = match self.format {
            Format::EhFrame if pointer == 0 => return None,
            Format::EhFrame => at.checked_sub(pointer)?,
            Format::DebugFrame if pointer == u64::from(u32::MAX) => return None,
            Format::DebugFrame => pointer,
        };
        let cie = self.cie(cie_at)?;
        let bytes = self.window.bytes(at + 4, length - 4)?;
        let fde = cie.describe(bytes, self.svma.wrapping_add(at + 4))?;
        Some(read(&cie, &fde))
    }

    fn cie(&mut self, position: u64) -> Option<Arc<Cie>> {
        if let Some(known) = self.cies.get(&position) {
            return known.clone();
        }
        let parsed = self.parse_cie(position).map(Arc::new);
        if self.cies.len() < MAX_CIES {
            self.cies.insert(position, parsed.clone());
        }
        parsed
    }

    fn parse_cie(&mut self, position: u64) -> Option<Cie> {
        let (length, next) = self.entry_at(position)?;
        if !(4..=MAX_CIE_BYTES).contains(&length) {
            return None;
        }
        let at = next - length;
        let bytes = self.window.bytes(at, length)?;
        let id = Cursor::new(bytes, 0).u32()?;
        let expected = if self.format == Format::EhFrame { 0 } else { u32::MAX };
        if id != expected {
            return None;
        }
        Cie::parse(&bytes[4..], self.svma.wrapping_add(at + 4))
    }

    /// Length of the entry at `position`, and the position of the next.
    fn entry_at(&mut self, position: u64) -> Option<(u64, u64)> {
        let short = u64::from(Cursor::new(self.window.bytes(position, 4)?, 0).u32()?);
        if short == u64::from(u32::MAX) {
            // The 64-bit format: no compiler writes it into frame descriptions.
            return None;
        }
        let next = position.checked_add(4)?.checked_add(short)?;
        if short == 0 && self.format == Format::EhFrame {
            return None; // The section's end.
        }
        (next <= self.window.size()).then_some((short, next))
    }

    /// Lets go of what is only good while a page is built.
    pub(in crate::unwind) fn rest(&mut self) {
        self.window.rest();
        self.index.rest();
    }

    /// Memory that is held while the file is open.
    pub(in crate::unwind) fn memory_bytes(&self) -> u64 {
        let cies = self.cies.values().flatten().map(|cie| 128 + cie.instructions.len() as u64);
        self.window.memory_bytes() + self.index.memory_bytes() + cies.sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_of_empty_entries_is_too_costly() {
        let size = 16 << 20;
        let image = Image::from_bytes(vec![0; 16 << 20]);
        let range = FileRange { offset: 0, size };
        let mut frames = FrameSection::new(image, range, 0, Format::DebugFrame);
        assert_eq!(frames.scan().err(), Some(CfiError::TooCostly));
    }
}
