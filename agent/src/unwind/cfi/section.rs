//! The section that holds the descriptions, read piece by piece, and the way from an address to
//! them: the linker's sorted table (`.eh_frame_hdr`) where there is one, else a scan.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{
    CfiError,
    cursor::Cursor,
    entry::{Cie, Fde},
};
use crate::symbol::{
    elf::{ElfFile, Section},
    image::{FileRange, Image, ReadError},
};

/// Descriptions in a section without the linker's table: more are not looked for.
const MAX_SCANNED: usize = 1 << 20;
/// A section that has to be scanned.
const MAX_SCANNED_BYTES: u64 = 256 << 20;
/// An entry: those of real files have some hundred bytes.
const MAX_ENTRY_BYTES: u64 = 1 << 20;
/// Common entries kept; a file has a handful.
const MAX_CIES: usize = 1024;
/// Read at a time: the descriptions of neighbouring functions are neighbours.
const WINDOW_BYTES: u64 = 32 << 10;

/// `.eh_frame` or `.debug_frame`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    EhFrame,
    DebugFrame,
}

/// One file's descriptions.
#[derive(Debug)]
pub(in crate::unwind) struct FrameSection {
    image: Image,
    range: FileRange,
    svma: u64,
    format: Format,
    index: Index,
    cies: FxHashMap<u64, Option<Arc<Cie>>>,
    window: Window,
}

#[derive(Debug)]
enum Index {
    /// Pairs of `i32` relative to `svma`: function, description.
    Sorted { range: FileRange, svma: u64, count: u64 },
    /// Function (SVMA) and its description's position in the section.
    Scanned(Box<[(u64, u64)]>),
}

#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl FrameSection {
    /// Finds the descriptions of a file.
    ///
    /// # Errors
    /// If it has none, or they can't be read.
    pub(in crate::unwind) fn open(elf: &ElfFile) -> Result<Self, CfiError> {
        let with_bytes = |name| elf.section(name).filter(|section| section.has_bytes());
        if let Some(section) = with_bytes(".eh_frame") {
            let mut frames = Self::new(elf, section, Format::EhFrame)?;
            let sorted = with_bytes(".eh_frame_hdr").and_then(|header| frames.sorted(elf, header));
            frames.index = match sorted {
                Some(index) => index,
                None => frames.scan()?,
            };
            // The linker leaves a terminator where all input had none: other sections may know.
            if !frames.is_empty() {
                return Ok(frames);
            }
        }
        let section = with_bytes(".debug_frame").ok_or(CfiError::None)?;
        let mut frames = Self::new(elf, section, Format::DebugFrame)?;
        frames.index = frames.scan()?;
        if frames.is_empty() { Err(CfiError::None) } else { Ok(frames) }
    }

    fn new(elf: &ElfFile, section: &Section, format: Format) -> Result<Self, CfiError> {
        let (image, range) = if section.is_compressed() {
            let bytes = elf.decompressed(section, MAX_SCANNED_BYTES);
            let image = Image::from_bytes(bytes.ok_or(CfiError::Compressed)?.into_vec());
            let size = image.size_bytes();
            (image, FileRange { offset: 0, size })
        } else {
            (elf.image().clone(), section.file)
        };
        Ok(Self {
            image,
            range,
            svma: section.svma.0,
            format,
            index: Index::Scanned(Box::default()),
            cies: FxHashMap::default(),
            window: Window::default(),
        })
    }

    fn is_empty(&self) -> bool {
        match &self.index {
            Index::Sorted { count, .. } => *count == 0,
            Index::Scanned(found) => found.is_empty(),
        }
    }

    /// The linker's table, if it is of the one form that linkers write.
    fn sorted(&self, elf: &ElfFile, header: &Section) -> Option<Index> {
        let size = header.file.size.min(24);
        let bytes = elf.image().read(FileRange { size, ..header.file }, 24, "header").ok()?;
        let svma = header.svma.0;
        let mut cursor = Cursor::new(&bytes, svma);
        let [1, frames, counted, 0x3b] = cursor.take(4)? else { return None };
        if cursor.pointer(*frames)? != self.svma {
            return None;
        }
        let count = cursor.number(*counted)?;
        let at = cursor.position() as u64;
        let offset = header.file.offset.checked_add(at)?;
        let size = count.checked_mul(8).filter(|size| *size <= header.file.size - at)?;
        Some(Index::Sorted { range: FileRange { offset, size }, svma, count })
    }

    /// All descriptions, in order of address.
    fn scan(&mut self) -> Result<Index, CfiError> {
        if self.range.size > MAX_SCANNED_BYTES {
            let size = self.range.size;
            let limit = MAX_SCANNED_BYTES;
            return Err(ReadError::TooLarge { what: "frame descriptions", size, limit }.into());
        }
        let mut found = Vec::new();
        let mut at = 0;
        while found.len() < MAX_SCANNED
            && let Some((length, next)) = self.entry_at(at)
        {
            if length > 0
                && let Some((start, end)) = self.fde(at, |_, fde| (fde.start, fde.end))
                && start < end
            {
                found.push((start, at));
            }
            at = next;
        }
        found.sort_unstable();
        Ok(Index::Scanned(found.into()))
    }

    /// Calls `each` with every description that covers a part of `start..end`, in order of address.
    pub(in crate::unwind) fn each_in(
        &mut self,
        start: u64,
        end: u64,
        mut each: impl FnMut(&Cie, &Fde<'_>),
    ) {
        let Some(mut number) = self.first_at_or_before(start) else { return };
        while let Some((function, position)) = self.indexed(number) {
            if function >= end {
                return;
            }
            self.fde(position, |cie, fde| {
                if fde.start < end && fde.end > start {
                    each(cie, fde);
                }
            });
            number += 1;
        }
    }

    /// From the end of the last function before an address to the start of the next one; empty in a
    /// function.
    pub(in crate::unwind) fn gap_at(&mut self, svma: u64) -> (u64, u64) {
        let Some(number) = self.first_at_or_before(svma) else { return (0, u64::MAX) };
        let start_of = |frames: &Self, number| frames.indexed(number).map(|(function, _)| function);
        let described = self
            .indexed(number)
            .and_then(|(_, position)| self.fde(position, |_, fde| (fde.start, fde.end)));
        match described {
            Some((start, _)) if svma < start => (0, start),
            Some((_, end)) if svma < end => (svma, svma),
            described => {
                let end = described.map_or(0, |(_, end)| end);
                (end, start_of(self, number + 1).unwrap_or(u64::MAX))
            }
        }
    }

    /// The number of the last description that begins at or before `svma`, else of the first.
    fn first_at_or_before(&mut self, svma: u64) -> Option<u64> {
        let count = match &self.index {
            Index::Sorted { count, .. } => *count,
            Index::Scanned(found) => found.len() as u64,
        };
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            if self.indexed(middle)?.0 <= svma {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Some(low.saturating_sub(1))
    }

    /// Start of the function (SVMA) and position of its description.
    fn indexed(&self, number: u64) -> Option<(u64, u64)> {
        match &self.index {
            Index::Scanned(found) => found.get(usize::try_from(number).ok()?).copied(),
            Index::Sorted { range, svma, count } => {
                if number >= *count {
                    return None;
                }
                let mut pair = [0; 8];
                self.image.read_into(range.offset + number * 8, &mut pair, "frame table").ok()?;
                let mut cursor = Cursor::new(&pair, 0);
                let [function, description] = [cursor.number(0x0b)?, cursor.number(0x0b)?];
                let position = svma.wrapping_add(description).checked_sub(self.svma)?;
                Some((svma.wrapping_add(function), position))
            }
        }
    }

    /// Parses the description at `position`; `None` if there is none, or another entry.
    fn fde<R>(&mut self, position: u64, read: impl FnOnce(&Cie, &Fde<'_>) -> R) -> Option<R> {
        let (body, body_at) = self.body(position)?;
        let mut cursor = Cursor::new(&body, 0);
        let pointer = u64::from(cursor.u32()?);
        let cie_at = match self.format {
            Format::EhFrame if pointer == 0 => return None,
            Format::EhFrame => body_at.checked_sub(pointer)?,
            Format::DebugFrame if pointer == u64::from(u32::MAX) => return None,
            Format::DebugFrame => pointer,
        };
        let cie = self.cie(cie_at)?;
        let fde = cie.describe(&body[4..], self.svma.wrapping_add(body_at + 4))?;
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
        let (body, body_at) = self.body(position)?;
        let id = Cursor::new(&body, 0).u32()?;
        let expected = if self.format == Format::EhFrame { 0 } else { u32::MAX };
        if id != expected {
            return None;
        }
        Cie::parse(&body[4..], self.svma.wrapping_add(body_at + 4))
    }

    /// The entry at `position` without its length, and where that begins.
    fn body(&mut self, position: u64) -> Option<(Vec<u8>, u64)> {
        let (length, next) = self.entry_at(position)?;
        if !(4..=MAX_ENTRY_BYTES).contains(&length) {
            return None;
        }
        let at = next - length;
        Some((self.bytes(at, length)?.to_vec(), at))
    }

    /// Length of the entry at `position`, and the position of the next.
    fn entry_at(&mut self, position: u64) -> Option<(u64, u64)> {
        let short = u64::from(Cursor::new(self.bytes(position, 4)?, 0).u32()?);
        if short == u64::from(u32::MAX) {
            // The 64-bit format: no compiler writes it into frame descriptions.
            return None;
        }
        let next = position.checked_add(4)?.checked_add(short)?;
        if short == 0 && self.format == Format::EhFrame {
            return None; // The section's end.
        }
        (next <= self.range.size).then_some((short, next))
    }

    /// Bytes of the section, which are read into the window if they are not there.
    fn bytes(&mut self, at: u64, length: u64) -> Option<&[u8]> {
        let end = at.checked_add(length).filter(|end| *end <= self.range.size)?;
        let held = self.window.start..self.window.start + self.window.bytes.len() as u64;
        if at < held.start || end > held.end {
            let start = at & !7;
            let size = (end - start).max(WINDOW_BYTES).min(self.range.size - start);
            let mut bytes = std::mem::take(&mut self.window.bytes);
            bytes.resize(usize::try_from(size).ok()?, 0);
            let read = self.image.read_into(self.range.offset + start, &mut bytes, "descriptions");
            if read.is_err() {
                return None;
            }
            self.window = Window { start, bytes };
        }
        let from = usize::try_from(at - self.window.start).ok()?;
        self.window.bytes.get(from..from + usize::try_from(length).ok()?)
    }

    /// Lets go of what is only good while a page is built.
    pub(in crate::unwind) fn rest(&mut self) {
        self.window = Window::default();
    }
}
