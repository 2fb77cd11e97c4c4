//! Files, pages and processes together: what the pipeline sees of unwinding.

use rustc_hash::FxHashMap;
use sonde_ebpf::{
    Resume, StackEnd,
    unwind::{DirectoryEntry, MappedCode, MappingKind, PAGE_TEXT_BYTES, Rule, find_rule},
};

use super::{
    arena::ArenaCounts,
    cfi::{CfiError, Target},
    code::CodeTable,
    directory::{Directory, Span},
    file::{Layout, Source},
    gaps::rule_of_all,
    page::OwnPage,
    resume::{Code, Found, walk},
};
use crate::{
    kernel::{Processes, SharedBytes, SharedRecords, SharedTables},
    process::{CodeAddress, CodeFile, CodeRegion, FileIndex, Mappings},
    symbol::{FileOffset, elf::ElfFile, image::ReadError},
};

/// A file that could not be read in this many rounds is left alone.
const MAX_ATTEMPTS: u32 = 8;

/// Files that may be open at a time.
const MAX_OPEN: usize = 512;
/// What may be held in memory of open files. Most take none of it; one that has no table of its
/// functions, or keeps them compressed, takes up to 20 MiB.
const MAX_HELD_BYTES: u64 = 24 << 20;

/// What was done, and what is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnwindCounts {
    /// What the arena holds.
    pub arena: ArenaCounts,
    /// Pages built since the start.
    pub pages_built: u64,
    /// Processes that the kernel side had no room for, since the start.
    pub processes_refused: u64,
    /// Files that there was no room for in the directory, since the start.
    pub files_refused: u64,
}

/// The unwinder's state.
pub struct Unwinder<M, D, R, P> {
    directory: Directory<M, D>,
    code: CodeTable<R, P>,
    files: FxHashMap<CodeFile, KnownFile>,
    unreadable: FxHashMap<CodeFile, Unreadable>,
    round: u64,
    uses: u64,
    pages_built: u64,
    files_refused: u64,
}

/// A file that could not be read: how often that was tried, and in which round the last time.
#[derive(Clone, Copy, Default)]
struct Unreadable {
    attempts: u32,
    round: u64,
}

struct KnownFile {
    layout: Layout,
    tables: Tables,
    /// Its place in the directory. Without one its pages are for us alone.
    span: Option<Span>,
    last_use: u64,
}

enum Tables {
    Open(Box<Source>),
    Closed,
    /// It has none: all of its code is under this rule.
    Missing(Rule),
}

impl Tables {
    fn memory_bytes(&self) -> u64 {
        match self {
            Self::Open(source) => source.memory_bytes(),
            Self::Closed | Self::Missing(_) => 0,
        }
    }
}

impl<M, D, R, P> Unwinder<M, D, R, P>
where
    M: SharedBytes,
    D: SharedRecords<DirectoryEntry>,
    R: SharedRecords<MappedCode>,
    P: Processes,
{
    /// Nothing is known yet.
    pub fn new(shared: SharedTables<M, D, R, P>) -> Self {
        Self {
            directory: Directory::new(shared.arena, shared.directory),
            code: CodeTable::new(shared.mappings, shared.processes),
            files: FxHashMap::default(),
            unreadable: FxHashMap::default(),
            round: 0,
            uses: 0,
            pages_built: 0,
            files_refused: 0,
        }
    }

    /// Goes on where the kernel side had to stop. Adds the callers to `stack`; `open` gives access
    /// to a file, by an address that is mapped from it. Says why the stack ends where it does.
    pub fn resume(
        &mut self,
        resume: &Resume,
        bytes: &[u8],
        mappings: &Mappings,
        stack: &mut Vec<u64>,
        mut open: impl FnMut(CodeFile, u64) -> Option<ElfFile>,
    ) -> StackEnd {
        let mut code = ProcessFiles { unwinder: self, mappings, open: &mut open };
        walk(resume, bytes, stack, &mut code)
    }

    fn find(
        &mut self,
        mappings: &Mappings,
        address: u64,
        open: &mut impl FnMut(CodeFile, u64) -> Option<ElfFile>,
    ) -> Found {
        let (file, offset) = match mappings.find(address) {
            Some(CodeAddress::File(file, offset)) => (CodeFile::File(file), offset),
            Some(CodeAddress::Vdso(offset)) => (CodeFile::Vdso, offset),
            Some(CodeAddress::Jit(_)) => return Found::Jit,
            _ => return Found::Nothing,
        };
        if !self.know(file, || open(file, address)) {
            return Found::Unreadable;
        }
        let known = &self.files[&file];
        if let Tables::Missing(rule) = known.tables {
            return Found::Rule(rule);
        }
        let Some(svma) = known.layout.svma_of(offset) else { return Found::Rule(Rule::NO_INFO) };
        self.rule(file, svma.0, || open(file, address)).map_or(Found::Unreadable, Found::Rule)
    }

    /// The rule for an address of a known file, whose page is made if need be.
    fn rule(
        &mut self,
        file: CodeFile,
        svma: u64,
        open: impl FnOnce() -> Option<ElfFile>,
    ) -> Option<Rule> {
        let known = self.files.get_mut(&file)?;
        let page = (svma / PAGE_TEXT_BYTES).checked_sub(known.layout.first_page)?;
        let page = u32::try_from(page).ok().filter(|page| *page < known.layout.pages);
        let element = page.zip(known.span).map(|(page, span)| span.first + page);
        if let Some(rule) = element.and_then(|element| self.directory.rule(element, svma)) {
            return Some(rule);
        }
        if matches!(known.tables, Tables::Closed) {
            // It had tables when it was open before.
            known.tables = Tables::Open(Box::new(Source::open(&open()?).ok()?));
        }
        let Tables::Open(source) = &mut known.tables else { return None };
        let (rule, is_new) = if let Some(element) = element {
            (self.directory.load(element, &source.build(svma), svma), true)
        } else {
            let (page, is_new) = source.keep(svma);
            (find_rule(&OwnPage(page), svma), is_new)
        };
        if is_new {
            self.pages_built += 1;
            self.close_files();
        }
        Some(rule)
    }

    /// Makes a file known. Whether it could be read, now or before.
    fn know(&mut self, file: CodeFile, open: impl FnOnce() -> Option<ElfFile>) -> bool {
        self.uses += 1;
        if let Some(known) = self.files.get_mut(&file) {
            known.last_use = self.uses;
            return true;
        }
        let Unreadable { attempts, round } =
            self.unreadable.get(&file).copied().unwrap_or_default();
        // Once a round: a stack of a process that is gone has the file in many frames.
        if attempts >= MAX_ATTEMPTS || attempts > 0 && round == self.round {
            return false;
        }
        let read = open().and_then(|elf| Some((read_tables(file, &elf)?, Layout::of(&elf))));
        let Some((tables, layout)) = read else {
            let now = Unreadable { attempts: attempts + 1, round: self.round };
            self.unreadable.insert(file, now);
            return false;
        };
        self.unreadable.remove(&file);
        let mut span = None;
        if layout.pages > 0 && matches!(tables, Tables::Open(_)) {
            span = self.directory.take(layout.pages);
            self.files_refused += u64::from(span.is_none());
        }
        self.files.insert(file, KnownFile { layout, tables, span, last_use: self.uses });
        self.close_files();
        true
    }

    /// Files are closed, those used longest ago first; they can be opened again.
    fn close_files(&mut self) {
        let is_open = |known: &&mut KnownFile| matches!(known.tables, Tables::Open(_));
        let mut open: Vec<_> = self.files.values_mut().filter(is_open).collect();
        let mut held: u64 = open.iter().map(|known| known.tables.memory_bytes()).sum();
        if open.len() <= MAX_OPEN && held <= MAX_HELD_BYTES {
            return;
        }
        open.sort_unstable_by_key(|known| known.last_use);
        let mut left = open.len();
        for known in open {
            // A quarter fewer, so that this is not done again with the next file.
            if left <= MAX_OPEN - MAX_OPEN / 4 && held <= MAX_HELD_BYTES {
                break;
            }
            held -= known.tables.memory_bytes();
            known.tables = Tables::Closed;
            left -= 1;
        }
    }

    /// Tells the kernel side where the code of a process lies, as known at a time (boot time).
    pub fn publish(
        &mut self,
        pid: u32,
        mappings: &Mappings,
        known_until_ns: u64,
        mut open: impl FnMut(CodeFile, u64) -> Option<ElfFile>,
    ) -> bool {
        let mut code = Vec::new();
        for region in mappings.regions() {
            self.place(&region, &mut open, &mut code);
        }
        self.code.publish(pid, code, known_until_ns)
    }

    fn place(
        &mut self,
        region: &CodeRegion,
        open: &mut impl FnMut(CodeFile, u64) -> Option<ElfFile>,
        code: &mut Vec<MappedCode>,
    ) {
        let CodeRegion { start, end, file_offset, file } = *region;
        let without_tables =
            |kind| MappedCode { start, end, kind: kind as u32, ..MappedCode::default() };
        let Some(file) = file else {
            code.push(without_tables(MappingKind::Jit));
            return;
        };
        if !self.know(file, || open(file, start)) {
            // Samples there come with their stack, and it is tried again with each, for a while.
            let given_up =
                self.unreadable.get(&file).is_some_and(|tried| tried.attempts >= MAX_ATTEMPTS);
            let kind = if given_up { MappingKind::Opaque } else { MappingKind::Tables };
            code.push(MappedCode { start, end, kind: kind as u32, ..nowhere(start) });
            return;
        }
        let known = &self.files[&file];
        if let Tables::Missing(rule) = known.tables {
            let keeps = rule == Rule::FRAME_POINTER;
            let kind = if keeps { MappingKind::FramePointers } else { MappingKind::Opaque };
            code.push(without_tables(kind));
            return;
        }
        for piece in known.layout.pieces(file_offset, end - start) {
            let first = known.layout.first_page;
            #[expect(clippy::cast_possible_truncation, reason = "modulo 2^32, as documented")]
            let there = known.span.map(|span| MappedCode {
                bias: start.wrapping_add(piece.svma_to_mapping),
                directory: span.first.wrapping_sub(first as u32),
                ..MappedCode::default()
            });
            code.push(MappedCode {
                start: start + piece.at,
                end: start + piece.at + piece.size,
                kind: MappingKind::Tables as u32,
                ..there.unwrap_or_else(|| nowhere(start + piece.at))
            });
        }
    }

    /// Whether the kernel side was told of a process.
    #[must_use]
    pub fn is_published(&self, pid: u32) -> bool {
        self.code.is_known(pid)
    }

    /// Notes that a process runs.
    pub fn touch(&mut self, pid: u32) {
        self.code.touch(pid);
    }

    /// A process has ended, or is another program.
    pub fn forget_process(&mut self, pid: u32) {
        self.code.forget(pid);
    }

    /// Forgets all processes but these.
    pub fn retain_processes(&mut self, is_known: impl FnMut(u32) -> bool) {
        self.code.retain(is_known);
    }

    /// Nobody maps a file any more, nor has the kernel side been told of a process that did.
    pub fn forget_file(&mut self, file: FileIndex) {
        self.unreadable.remove(&CodeFile::File(file));
        if let Some(span) = self.files.remove(&CodeFile::File(file)).and_then(|known| known.span) {
            self.directory.give_back(span);
        }
    }

    /// A round of the drain thread is over: what nobody reads any more may be used again.
    pub fn end_round(&mut self) {
        self.round += 1;
        self.directory.end_round();
        self.code.end_round();
    }

    /// From here on, pages are stamped with another epoch.
    pub fn set_epoch(&mut self, epoch: u32) {
        self.directory.set_epoch(epoch);
    }

    /// What was done, and what is held.
    #[must_use]
    pub const fn counts(&self) -> UnwindCounts {
        UnwindCounts {
            arena: self.directory.counts(),
            pages_built: self.pages_built,
            processes_refused: self.code.refused(),
            files_refused: self.files_refused,
        }
    }
}

/// The code of a process by its mappings, and by the files that they are of.
struct ProcessFiles<'a, U, F> {
    unwinder: &'a mut U,
    mappings: &'a Mappings,
    open: &'a mut F,
}

impl<M, D, R, P, F> Code for ProcessFiles<'_, Unwinder<M, D, R, P>, F>
where
    M: SharedBytes,
    D: SharedRecords<DirectoryEntry>,
    R: SharedRecords<MappedCode>,
    P: Processes,
    F: FnMut(CodeFile, u64) -> Option<ElfFile>,
{
    fn find(&mut self, address: u64) -> Found {
        self.unwinder.find(self.mappings, address, self.open)
    }

    fn before(&mut self, address: u64) -> Option<u64> {
        let address = address.checked_sub(8)?;
        let (file, FileOffset(offset)) = match self.mappings.find(address)? {
            CodeAddress::File(file, offset) => (CodeFile::File(file), offset),
            CodeAddress::Vdso(offset) => (CodeFile::Vdso, offset),
            _ => return None,
        };
        let mut code = [0; 8];
        (self.open)(file, address)?.image().read_into(offset, &mut code, "code").ok()?;
        Some(u64::from_le_bytes(code))
    }
}

/// How a file is unwound; `None` if it could not be read this time.
fn read_tables(file: CodeFile, elf: &ElfFile) -> Option<Tables> {
    match Source::open(elf) {
        Ok(source) => Some(Tables::Open(Box::new(source))),
        Err(CfiError::Read(ReadError::Io(error))) => {
            tracing::debug!(%error, ?file, "tables can't be read");
            None
        }
        Err(error) => {
            let rule = Target::of(elf).map_or(Rule::NO_INFO, |target| rule_of_all(elf, target));
            tracing::debug!(%error, ?file, ?rule, "not unwound by tables");
            Some(Tables::Missing(rule))
        }
    }
}

/// Elements that the directory does not have, for a mapping from `start` on: counted from there, as
/// what a file says of its addresses may be anything.
fn nowhere(start: u64) -> MappedCode {
    MappedCode { bias: start, directory: NO_DIRECTORY, ..MappedCode::default() }
}

/// An element that the directory does not have, for all the text that a mapping can hold.
const NO_DIRECTORY: u32 = 1 << 31;

#[cfg(test)]
#[path = "unwinder_tests.rs"]
mod tests;
