//! One file with code: where it is placed, and pages made of its descriptions.

use std::{collections::VecDeque, sync::Arc};

use sonde_ebpf::unwind::PAGE_TEXT_BYTES;

use super::{
    cfi::{CfiError, FrameSection, Target, run},
    gaps::Gaps,
    page::PageRows,
};
use crate::symbol::{
    FileOffset, Svma,
    elf::{ElfFile, Segment, svma_of},
};

/// Pages of one file that can have a place in the directory: a gigabyte of text.
const MAX_PAGES: u64 = 1 << 14;
/// What lies between a file's segments of code takes places too: at most so many for one of code.
const PLACES_PER_PAGE: u64 = 4;
/// Pages that are kept of a file without places: a stack goes through several.
const MAX_KEPT: usize = 8;

/// What is known of a file, also when it is closed.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    segments: Arc<[Segment]>,
    /// 64 KiB units of SVMAs that hold code: the first, and how many that take places in the
    /// directory. None of a file that would take those of many others, by what it claims.
    pub(super) first_page: u64,
    pub(super) pages: u32,
}

/// Text that lies between two functions is mostly padding: this much of it counts for the first.
const MAX_PADDING: u64 = 15;

/// An open file with descriptions.
#[derive(Debug)]
pub(super) struct Source {
    /// `None` for a file without any.
    frames: Option<FrameSection>,
    target: Target,
    gaps: Gaps,
    /// Pages without a place, by number; the last was used last.
    kept: VecDeque<(u64, Vec<u8>)>,
}

impl Layout {
    pub(super) fn of(elf: &ElfFile) -> Self {
        let segments = elf.segments();
        let code = || segments.iter().filter(|segment| segment.executable);
        let first = code().map(|segment| segment.svma.0 / PAGE_TEXT_BYTES).min().unwrap_or(0);
        let end = |segment: &Segment| segment.svma.0.saturating_add(segment.file.size);
        let last = code().map(|segment| end(segment).div_ceil(PAGE_TEXT_BYTES)).max().unwrap_or(0);
        let pages = last.saturating_sub(first);
        let sizes = code().map(|segment| segment.file.size).fold(0, u64::saturating_add);
        let text = sizes.min(elf.image().size_bytes()) / PAGE_TEXT_BYTES + 1;
        // The kernel maps whole pages: with another distance they reach out of those counted here.
        let is_aligned =
            code().all(|segment| segment.svma.0.wrapping_sub(segment.file.offset) % 4096 == 0);
        let most = MAX_PAGES.min(PLACES_PER_PAGE * text);
        let pages = Some(pages).filter(|pages| is_aligned && *pages <= most).unwrap_or(0);
        Self { first_page: first, pages: u32::try_from(pages).unwrap_or(0), segments }
    }

    /// The first SVMA of each page.
    pub(super) fn starts(&self) -> impl Iterator<Item = u64> + use<> {
        let first = self.first_page;
        (0..u64::from(self.pages)).map(move |page| (first + page) * PAGE_TEXT_BYTES)
    }

    pub(super) fn svma_of(&self, offset: FileOffset) -> Option<Svma> {
        svma_of(&self.segments, offset)
    }

    /// The pieces of a mapping of `size` bytes from `offset` on that hold code, each with where it
    /// begins in the mapping, its size, and the distance from SVMAs to bytes of the mapping.
    ///
    /// By the segments, never "start of the mapping minus its offset": linkers place segments of
    /// one file at different distances.
    pub(super) fn pieces(&self, offset: u64, size: u64) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        for segment in self.segments.iter().filter(|segment| segment.executable) {
            let covered = pieces.last().map_or(offset, |piece| offset + piece.at + piece.size);
            // The kernel maps whole pages.
            let start = (segment.file.offset & !4095).max(covered);
            let end = segment.file.offset.saturating_add(segment.file.size);
            let end = end.checked_next_multiple_of(4096).unwrap_or(end).min(offset + size);
            if start < end {
                let svma_to_mapping =
                    segment.file.offset.wrapping_sub(offset).wrapping_sub(segment.svma.0);
                pieces.push(Piece { at: start - offset, size: end - start, svma_to_mapping });
            }
        }
        pieces
    }
}

/// A piece of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) at: u64,
    pub(super) size: u64,
    /// What to add to an SVMA, modulo 2^64, for its place in the mapping.
    pub(super) svma_to_mapping: u64,
}

impl Source {
    /// # Errors
    /// If the file has no descriptions that we can use, and its instructions would not tell.
    pub(super) fn open(elf: &ElfFile) -> Result<Self, CfiError> {
        let target = Target::of(elf).ok_or(CfiError::ForeignMachine)?;
        let frames = match FrameSection::open(elf) {
            Ok(frames) => Some(frames),
            Err(CfiError::None) if Gaps::can_tell(elf, target) => None,
            Err(error) => return Err(error),
        };
        let gaps = Gaps::new(elf.clone(), target);
        Ok(Self { frames, target, gaps, kept: VecDeque::new() })
    }

    /// Makes the page for the text around `svma`.
    pub(super) fn build(&mut self, svma: u64) -> Vec<u8> {
        self.rows(svma).encode()
    }

    /// The page for the text around `svma`, which is kept for a while, and whether it had to be made.
    pub(super) fn keep(&mut self, svma: u64) -> (&[u8], bool) {
        let number = svma / PAGE_TEXT_BYTES;
        let known = self.kept.iter().position(|(kept, _)| *kept == number);
        let known = known.and_then(|place| self.kept.remove(place));
        let is_new = known.is_none();
        let page = known.unwrap_or_else(|| (number, self.build(svma)));
        if self.kept.len() >= MAX_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(page);
        (self.kept.back().map_or(&[], |(_, page)| page), is_new)
    }

    /// Memory that is held while the file is open.
    pub(super) fn memory_bytes(&self) -> u64 {
        let frames = self.frames.as_ref().map_or(0, FrameSection::memory_bytes);
        let kept: usize = self.kept.iter().map(|(_, page)| page.len()).sum();
        frames + self.gaps.memory_bytes() + kept as u64
    }

    /// What that page tells.
    pub(super) fn rows(&mut self, svma: u64) -> PageRows {
        let mut page = PageRows::new(svma);
        let (start, end) = (page.start(), page.end());
        let Self { frames, target, gaps, .. } = self;
        // What is cut off by the page is judged as a whole.
        let (mut before, mut behind) = (0, u64::MAX);
        if let Some(frames) = frames {
            frames.begin();
            (before, behind) = (frames.gap_at(start).0, frames.gap_at(end - 1).1);
        }
        let mut covered = start;
        let mut close = |page: &mut PageRows, from: u64, to: u64| {
            if to.saturating_sub(from) <= MAX_PADDING {
                return;
            }
            let whole_from = if from == start { before } else { from };
            let whole_to = if to == end { behind } else { to };
            gaps.push(page, from, to, (whole_from, whole_to));
        };
        if let Some(frames) = frames {
            frames.each_in(start, end, |cie, fde| {
                // Of overlapping descriptions the first one counts for what both cover.
                let from = fde.start.max(covered);
                if from >= fde.end {
                    return;
                }
                close(&mut page, covered, from);
                run(cie, fde, *target, |svma, rule| {
                    if svma < fde.end {
                        page.push(svma.max(from), rule);
                    }
                });
                covered = fde.end;
            });
            frames.rest();
        }
        close(&mut page, covered, end);
        gaps.end_at_first_functions(&mut page, start, end);
        page
    }
}
