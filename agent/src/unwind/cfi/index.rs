//! The way from an address to its description: the linker's sorted table (`.eh_frame_hdr`) where
//! there is one, else what a scan has found.

use super::{cursor::Cursor, window::Window};
use crate::symbol::{
    elf::{ElfFile, Segment},
    image::FileRange,
};

/// Bytes of a table that are read at a time: a page of text has some hundred functions.
const WINDOW_BYTES: u64 = 2 << 10;
/// Bytes of a table that may be looked at for one page, which has 64 Ki functions at most.
const MAX_LOOKED_AT_BYTES: u64 = 1 << 20;
/// What precedes the table.
const MAX_HEADER_BYTES: u64 = 24;

/// The linker's header of frame descriptions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// SVMA of the descriptions.
    pub(super) frames: u64,
    svma: u64,
    /// The table, if it is of the one form that linkers write: pairs of `i32` relative to `svma`.
    table: Option<FileRange>,
}

impl Header {
    pub(super) fn read(elf: &ElfFile) -> Option<Self> {
        let (file, svma) = match elf.section(".eh_frame_hdr") {
            Some(section) => section.has_bytes().then_some((section.file, section.svma.0))?,
            None if elf.is_without_sections() => {
                let Segment { file, svma, .. } = elf.frame_header()?;
                (file, svma.0)
            }
            None => return None,
        };
        let range = FileRange { size: file.size.min(MAX_HEADER_BYTES), ..file };
        let bytes = elf.image().read(range, MAX_HEADER_BYTES, "frame header").ok()?;
        let mut cursor = Cursor::new(&bytes, svma);
        let [1, frames, counted, form] = cursor.take(4)? else { return None };
        let frames = cursor.pointer(*frames)?;
        let count = cursor.number(*counted).filter(|_| *form == 0x3b);
        let at = cursor.position() as u64;
        let table = count.and_then(|count| {
            let size = count.checked_mul(8).filter(|size| *size <= file.size - at)?;
            Some(FileRange { offset: file.offset.checked_add(at)?, size })
        });
        Some(Self { frames, svma, table })
    }
}

/// Functions in order of address, and where they are described.
#[derive(Debug)]
pub(super) enum Index {
    Sorted { table: Window, svma: u64, frames: u64 },
    Scanned(Box<[(u64, u64)]>),
}

impl Index {
    /// That of a header, if it has a table.
    pub(super) fn of(elf: &ElfFile, header: &Header) -> Option<Self> {
        let table = Window::new(elf.image().clone(), header.table?, WINDOW_BYTES);
        Some(Self::Sorted { table, svma: header.svma, frames: header.frames })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count() == 0
    }

    fn count(&self) -> u64 {
        match self {
            Self::Sorted { table, .. } => table.size() / 8,
            Self::Scanned(found) => found.len() as u64,
        }
    }

    /// Another page is asked for.
    pub(super) fn begin(&mut self) {
        if let Self::Sorted { table, .. } = self {
            table.allow(MAX_LOOKED_AT_BYTES);
        }
    }

    /// The number of the last function that begins at or before `svma`, else of the first.
    pub(super) fn first_at_or_before(&mut self, svma: u64) -> Option<u64> {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle)?.0 <= svma {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Some(low.saturating_sub(1))
    }

    /// Start of a function (SVMA) and its description's position in the section.
    pub(super) fn get(&mut self, number: u64) -> Option<(u64, u64)> {
        match self {
            Self::Scanned(found) => found.get(usize::try_from(number).ok()?).copied(),
            Self::Sorted { table, svma, frames } => {
                let mut cursor = Cursor::new(table.bytes(number.checked_mul(8)?, 8)?, 0);
                let [function, description] = [cursor.number(0x0b)?, cursor.number(0x0b)?];
                let position = svma.wrapping_add(description).checked_sub(*frames)?;
                Some((svma.wrapping_add(function), position))
            }
        }
    }

    /// Lets go of what is only good while a page is built.
    pub(super) fn rest(&mut self) {
        if let Self::Sorted { table, .. } = self {
            table.rest();
        }
    }

    /// Memory that is held for good.
    pub(super) fn memory_bytes(&self) -> u64 {
        match self {
            Self::Sorted { .. } => 0,
            Self::Scanned(found) => size_of_val(&**found) as u64,
        }
    }
}
