//! Code that no description covers: whether it keeps frame pointers, or else what its instructions do
//! to the stack.
//!
//! V8's builtins are a megabyte of such code inside node, and the stack goes on behind them.

use rustc_hash::FxHashSet;
use sonde_ebpf::unwind::Rule;

use super::{
    cfi::Target,
    derive::{Entries, MAX_CODE_BYTES, derive},
    page::PageRows,
};
use crate::symbol::{
    Svma,
    elf::{ElfFile, ElfSymbols},
    go::GoTable,
    image::{Buffer, FileRange},
};

/// Shorter pieces are assembly, and padding.
const MIN_GAP_BYTES: u64 = 4 << 10;
/// Of longer ones, so much is looked at.
const MAX_LOOKED_AT_BYTES: u64 = 256 << 10;
/// A function that sets up a frame pointer is found this often, or they are there by accident. V8
/// has one in 900 bytes; code without frame pointers has none.
const BYTES_PER_FRAME: usize = 4 << 10;
/// Code that starts a program, where no description covers it.
const START_BYTES: u64 = 64;
/// Code of one file whose instructions are followed, each time it is opened: no more than what keeps
/// the capture thread for a quarter of a second.
const MAX_FOLLOWED_BYTES: u64 = 4 << 20;
/// Gaps to remember the answer for.
const MAX_KEPT: usize = 64;
/// More rules for a piece of code than this many, and one for so many of its bytes, are made for
/// the sake of it: it has none.
const FEW_ROWS: usize = 16;
const BYTES_PER_ROW: usize = 4;

/// The gaps of one file.
#[derive(Debug)]
pub(super) struct Gaps {
    elf: ElfFile,
    target: Target,
    /// Go keeps frame pointers everywhere and describes only what C brought in.
    is_go: bool,
    go: Option<GoTable>,
    /// The last was used last.
    kept: Vec<Gap>,
    /// Where functions begin, in order, once that was asked for.
    starts: Option<Box<[u64]>>,
    /// Bytes of code that may still be followed, but for the gaps that have been: what was forgotten
    /// of them is made again.
    left: u64,
    followed: FxHashSet<(u64, u64)>,
}

/// Code between two functions with descriptions, and what it is unwound by.
#[derive(Debug)]
struct Gap {
    start: u64,
    end: u64,
    rows: Box<[(u64, Rule)]>,
}

impl Gaps {
    pub(super) fn new(elf: ElfFile, target: Target) -> Self {
        let is_go = GoTable::section(&elf).is_some();
        let go = GoTable::open(&elf);
        let (kept, followed) = Default::default();
        Self { elf, target, is_go, go, kept, starts: None, left: MAX_FOLLOWED_BYTES, followed }
    }

    /// Whether the code of a file without any description can be followed.
    pub(super) fn can_tell(elf: &ElfFile, target: Target) -> bool {
        target == Target::X86_64 && rule_of_all(elf, target) == Rule::NO_INFO
    }

    /// Adds the rules of what lies between `start` and `end` to a page. `gap` is all of the gap that
    /// this is a part of.
    pub(super) fn push(&mut self, page: &mut PageRows, start: u64, end: u64, gap: (u64, u64)) {
        let (from, to) = near(gap, page.start(), page.end());
        let rows = &self.keep(from, to).rows;
        let first = rows.partition_point(|(at, _)| *at <= start);
        page.push(start, first.checked_sub(1).map_or(Rule::NO_INFO, |row| rows[row].1));
        for (at, rule) in rows[first..].iter().take_while(|(at, _)| *at < end) {
            page.push(*at, *rule);
        }
    }

    /// Ends walks where Go says that nobody called, between two addresses.
    pub(super) fn end_at_first_functions(&self, page: &mut PageRows, start: u64, end: u64) {
        let first = self.go.as_ref().map(|go| go.first_functions(start, end));
        for function in first.into_iter().flatten() {
            page.overlay(function.start, function.end, Rule::END);
        }
    }

    fn keep(&mut self, start: u64, end: u64) -> &Gap {
        let known = self.kept.iter().position(|known| (known.start, known.end) == (start, end));
        let gap = match known {
            Some(number) => self.kept.remove(number),
            None => Gap { start, end, rows: self.rows_of(start, end).into() },
        };
        if self.kept.len() >= MAX_KEPT {
            self.kept.remove(0);
        }
        self.kept.push(gap);
        self.kept.last().expect("pushed above")
    }

    /// The rules of a gap, each with where it begins.
    fn rows_of(&mut self, from: u64, to: u64) -> Vec<(u64, Rule)> {
        let Self { elf, target, .. } = self;
        let is_long = to.saturating_sub(from) >= MIN_GAP_BYTES;
        let keeps_frame_pointers =
            self.is_go || is_long && judge(elf, *target, from, to) == Rule::FRAME_POINTER;
        if !keeps_frame_pointers && *target == Target::X86_64 {
            return self.derived(from, to);
        }
        let rule = if keeps_frame_pointers { Rule::FRAME_POINTER } else { Rule::NO_INFO };
        let mut rows = vec![(from, rule)];
        let entry = elf.entry().0;
        if (from..to).contains(&entry) && entry != 0 {
            rows.extend([(entry, Rule::END), (entry.saturating_add(START_BYTES), rule)]);
        }
        rows
    }

    fn derived(&mut self, from: u64, to: u64) -> Vec<(u64, Rule)> {
        let Self { elf, starts, followed, .. } = self;
        let is_new = !followed.contains(&(from, to));
        let limit = if is_new { MAX_CODE_BYTES.min(self.left) } else { MAX_CODE_BYTES };
        let mut rows = vec![(from, Rule::NO_INFO)];
        for (svma, code) in pieces(elf, from, to, limit) {
            let size = code.len() as u64;
            if is_new {
                self.left = self.left.saturating_sub(size);
                followed.insert((from, to));
            }
            let (functions, ends) = functions(elf, starts, svma, svma + size);
            let program = elf.entry().0;
            let entries = Entries { functions: &functions, ends: &ends, program };
            let derived = derive(&code, svma, &entries);
            if derived.len() <= FEW_ROWS + code.len() / BYTES_PER_ROW {
                rows.extend(derived);
            }
        }
        rows
    }

    /// Memory that is held while the file is open.
    pub(super) fn memory_bytes(&self) -> u64 {
        let kept: usize = self.kept.iter().map(|gap| size_of_val(&*gap.rows)).sum();
        let starts = self.starts.as_deref().map_or(0, size_of_val);
        let followed = self.followed.capacity() * size_of::<(u64, u64)>();
        (kept + starts + followed) as u64
    }
}

/// The part of a gap that is judged as one for what lies between `start` and `end`: all of it, or of
/// one that is longer than the code that is followed, what is around. Parts of a browser keep frame
/// pointers and others do not.
fn near((from, to): (u64, u64), start: u64, end: u64) -> (u64, u64) {
    if to.saturating_sub(from) <= MAX_CODE_BYTES {
        return (from, to);
    }
    let around = MAX_LOOKED_AT_BYTES.saturating_sub(end - start) / 2;
    (from.max(start.saturating_sub(around)), to.min(end.saturating_add(around)))
}

/// Where symbols say that functions begin, and which never return. Small gaps are found out without.
/// `starts` are those of the whole file, for the next gap.
pub(super) fn functions(
    elf: &ElfFile,
    starts: &mut Option<Box<[u64]>>,
    start: u64,
    end: u64,
) -> (Vec<u64>, Vec<u64>) {
    let (mut functions, mut ends) = (Vec::new(), Vec::new());
    let is_long = end - start >= MIN_GAP_BYTES;
    if is_long {
        let starts = starts.get_or_insert_with(|| all_starts(elf));
        let first = starts.partition_point(|svma| *svma < start);
        let behind = starts.partition_point(|svma| *svma < end);
        functions.extend_from_slice(&starts[first..behind]);
    }
    for entry in elf.linkage_entries().filter(|entry| (start..end).contains(&entry.0)) {
        let list = if is_long && elf.never_returns(entry) { &mut ends } else { &mut functions };
        list.push(entry.0);
    }
    (functions, ends)
}

/// Where symbols say that code begins, in order.
fn all_starts(elf: &ElfFile) -> Box<[u64]> {
    let mut starts = Vec::new();
    ElfSymbols::new(elf.clone()).each_function(|svma| {
        if elf.is_code(svma) {
            starts.push(svma.0);
        }
    });
    starts.sort_unstable();
    starts.dedup();
    starts.into()
}

/// The code between two addresses that the file has: as many pieces as have `limit` bytes together.
/// Segments may lie over each other, and then the same bytes are in many pieces.
pub(super) fn pieces(
    elf: &ElfFile,
    from: u64,
    to: u64,
    limit: u64,
) -> impl Iterator<Item = (u64, Buffer)> {
    let (segments, mut left) = (elf.segments(), limit);
    (0..segments.len()).filter_map(move |number| {
        let segment = &segments[number];
        let start = segment.svma.0.max(from);
        let end = segment.svma.0.saturating_add(segment.file.size).min(to);
        let size = end.checked_sub(start).filter(|size| segment.executable && *size <= left)?;
        let offset = elf.offset_of(Svma(start))?.0;
        let code = elf.image().read(FileRange { offset, size }, left, "code").ok()?;
        left -= size;
        Some((start, code))
    })
}

/// The rule for the code of a file without any description.
pub(super) fn rule_of_all(elf: &ElfFile, target: Target) -> Rule {
    let segments = elf.segments();
    let mut code = segments.iter().filter(|segment| segment.executable);
    let keeps = |start: u64, size: u64| {
        judge(elf, target, start, start.saturating_add(size)) == Rule::FRAME_POINTER
    };
    if code.any(|segment| keeps(segment.svma.0, segment.file.size)) {
        Rule::FRAME_POINTER
    } else {
        Rule::NO_INFO
    }
}

fn judge(elf: &ElfFile, target: Target, from: u64, to: u64) -> Rule {
    let segments = elf.segments();
    let parts = segments.iter().filter(|segment| segment.executable).filter_map(|segment| {
        let start = segment.svma.0.max(from);
        let end = segment.svma.0.saturating_add(segment.file.size).min(to);
        (start < end).then(|| (start, end - start))
    });
    // The longest: what lies around it is other sections' padding.
    let Some((start, size)) = parts.max_by_key(|(_, size)| *size) else { return Rule::NO_INFO };
    let size = size.min(MAX_LOOKED_AT_BYTES);
    let read = elf.offset_of(Svma(start)).and_then(|offset| {
        let range = FileRange { offset: offset.0, size };
        elf.image().read(range, MAX_LOOKED_AT_BYTES, "code").ok()
    });
    match read {
        Some(code) if keeps_frame_pointers(&code, target) => Rule::FRAME_POINTER,
        _ => Rule::NO_INFO,
    }
}

fn keeps_frame_pointers(code: &[u8], target: Target) -> bool {
    let sets_one_up: &[u8; 4] = match target {
        Target::X86_64 => &[0x55, 0x48, 0x89, 0xe5], // push %rbp; mov %rsp,%rbp
        Target::Aarch64 => &[0xfd, 0x03, 0x00, 0x91], // mov x29, sp
    };
    let frames = code.windows(4).filter(|window| window == sets_one_up).count();
    frames * BYTES_PER_FRAME >= code.len().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unwind::made_elf::{CODE_AT, elf};

    #[test]
    fn code_is_paid_for_once_however_often_its_rules_are_forgotten() {
        // push %rax; pop %rax; ret; nops
        let function = [0x50, 0x58, 0xc3, 0x90, 0x90, 0x90, 0x90, 0x90];
        let code = function.repeat(0x400);
        let elf = elf(&code, &[(CODE_AT, 0x2000)]);
        let mut gaps = Gaps::new(elf, Target::X86_64);
        let mut rows_of = |gap: u64| {
            let (start, end) = (CODE_AT + 32 * gap, CODE_AT + 32 * gap + 32);
            let rows = gaps.keep(start, end).rows.clone();
            (rows, gaps.left, gaps.kept.len())
        };
        let all = 3 * MAX_KEPT as u64;
        let first: Vec<_> = (0..all).map(|gap| rows_of(gap).0).collect();
        assert!(first.iter().all(|rows| rows.len() > 4), "{:?}", first[0]);
        let again: Vec<_> = (0..all).map(|gap| rows_of(gap).0).collect();
        assert_eq!(again, first);
        let (_, left, kept) = rows_of(0);
        assert_eq!((left, kept), (MAX_FOLLOWED_BYTES - 32 * all, MAX_KEPT));
        gaps.left = 0;
        assert_eq!(gaps.keep(CODE_AT, CODE_AT + 32).rows, first[0], "nor is it lost for good");
        assert_eq!(
            gaps.keep(CODE_AT, CODE_AT + 64).rows.len(),
            1,
            "what is new may not be followed"
        );
    }

    #[test]
    fn a_gap_of_many_megabytes_is_judged_where_the_code_runs() {
        let page = (0x700_0000, 0x701_0000);
        assert_eq!(near((0x1000, 0x20_0000), 0x1_0000, 0x2_0000), (0x1000, 0x20_0000));
        assert_eq!(near((0, u64::MAX), page.0, page.1), (0x6fe_8000, 0x702_8000));
        assert_eq!(near((0x700_0100, u64::MAX), page.0, page.1), (0x700_0100, 0x702_8000));
        assert_eq!(near((0, u64::MAX), u64::MAX - 0xffff, u64::MAX).1, u64::MAX);
    }

    #[test]
    fn segments_that_lie_over_each_other_are_followed_as_if_they_were_one() {
        const SIZE: u64 = 512 << 10;
        let code = vec![0x90; usize::try_from(SIZE).expect("small")];
        let elf = elf(&code, &[(CODE_AT, SIZE); 40]);
        let read = pieces(&elf, 0, u64::MAX, MAX_CODE_BYTES).map(|(_, code)| code.len() as u64);
        assert_eq!(read.sum::<u64>(), MAX_CODE_BYTES);
        let mut gaps = Gaps::new(elf, Target::X86_64);
        gaps.keep(0, u64::MAX);
        assert_eq!(gaps.left, MAX_FOLLOWED_BYTES - MAX_CODE_BYTES);
    }

    #[test]
    fn symbols_are_read_once_for_all_gaps_of_a_file() {
        let own = std::env::current_exe().expect("known");
        let elf = ElfFile::open(std::fs::File::open(own).expect("readable")).expect("an ELF file");
        let mut starts = None;
        let begin = elf.entry().0;
        let (some, _) = functions(&elf, &mut starts, begin, begin + MIN_GAP_BYTES);
        assert!(some.contains(&begin));
        *starts.as_mut().expect("kept") = [begin + 1].into();
        let (some, _) = functions(&elf, &mut starts, begin + 1, begin + 1 + MIN_GAP_BYTES);
        assert_eq!(some[0], begin + 1, "those kept");
    }

    #[test]
    fn frame_pointers_are_told_by_how_often_they_are_set_up() {
        let frame = [0x55, 0x48, 0x89, 0xe5];
        let mut code = vec![0x90; 4096];
        assert!(!keeps_frame_pointers(&code, Target::X86_64));
        code[100..104].copy_from_slice(&frame);
        assert!(keeps_frame_pointers(&code, Target::X86_64));
        assert!(!keeps_frame_pointers(&code, Target::Aarch64));
        code.resize(8192, 0x90);
        assert!(!keeps_frame_pointers(&code, Target::X86_64), "by accident");
        assert!(!keeps_frame_pointers(&[], Target::X86_64));
    }
}
