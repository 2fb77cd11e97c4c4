//! Files registered once, named address by address, within fixed memory and descriptors.
//!
//! The life of a file: [`Symbolizer::register`] knows it again by device, inode, size and time of
//! change. Its headers are read at once, its tables when an address is asked for. Descriptors,
//! tables and debug information of the files used longest ago are let go when there are too many.
//! Without descriptor a file answers only what it answered before, and says [`UnknownReason::FileGone`]
//! for the rest, until it is registered again.
//!
//! Name all addresses of one file before those of the next: then each file is loaded once at most.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::binary::{Binary, Found, Sources};
use super::demangle::{cut, demangle};
use super::dwarf::{DebugInfoLimits, DebugInfoLoss, SourceFrame};
use super::elf::{ElfFile, Segment, svma_of};
use super::recent::Recent;
use super::{FileOffset, Function, Svma, Symbol, UnknownReason};

/// What symbolization may use.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Files that are kept open.
    pub max_open_files: usize,
    /// Files that are remembered, with or without descriptor.
    pub max_files: usize,
    /// Symbol tables held, in bytes.
    pub max_table_bytes: usize,
    /// Debug information held between two lookups, in bytes.
    pub max_debug_bytes: usize,
    /// Addresses whose names are remembered.
    pub max_results: usize,
    /// What debug information of one file may cost.
    pub debug_info: DebugInfoLimits,
    /// Where separate debug files are.
    pub debug_directories: Vec<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_open_files: 512,
            max_files: 16_384,
            max_table_bytes: 16 << 20,
            max_debug_bytes: 32 << 20,
            max_results: 32_768,
            debug_info: DebugInfoLimits::default(),
            debug_directories: vec![PathBuf::from("/usr/lib/debug")],
        }
    }
}

/// A registered file. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// What could not be done, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SymbolCounts {
    unknown: [u64; UnknownReason::ALL.len()],
    debug_info: [u64; DebugInfoLoss::ALL.len()],
}

impl SymbolCounts {
    /// Addresses without a name by reason, each counted once while it is remembered.
    pub fn unknown(&self) -> impl Iterator<Item = (UnknownReason, u64)> {
        UnknownReason::ALL.into_iter().zip(self.unknown)
    }

    /// Addresses for which debug information was there but was not used, by reason; once for each
    /// file where it is refused as a whole.
    pub fn debug_info(&self) -> impl Iterator<Item = (DebugInfoLoss, u64)> {
        DebugInfoLoss::ALL.into_iter().zip(self.debug_info)
    }
}

/// Names for addresses in files.
pub struct Symbolizer {
    settings: Settings,
    sources: Sources,
    files: FxHashMap<FileId, RegisteredFile>,
    ids: FxHashMap<FileKey, FileId>,
    next_id: u32,
    /// Counts uses, to tell what was used longest ago.
    uses: u64,
    /// Files with a descriptor.
    open_files: usize,
    /// Memory of tables and debug information as of the last look at all files, and what was
    /// loaded since.
    held: Held,
    results: Recent<(FileId, Svma), Symbol>,
    /// Readable names by mangled ones.
    names: Recent<Arc<str>, (Arc<str>, Arc<str>)>,
    source_files: Recent<Arc<str>, Arc<str>>,
    counts: SymbolCounts,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct FileKey {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

struct RegisteredFile {
    path: Arc<str>,
    build_id: Arc<str>,
    segments: Arc<[Segment]>,
    state: State,
    /// Without a file: it needs no descriptor and cannot be opened again.
    in_memory: bool,
    last_use: u64,
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Of symbol tables.
    pub tables: usize,
    /// Of debug information.
    pub debug_info: usize,
}

enum State {
    Open(Box<Binary>),
    Closed,
    Refused,
}

impl Symbolizer {
    /// Holds nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let sources = Sources {
            limits: settings.debug_info,
            debug_directories: settings.debug_directories.clone(),
        };
        Self {
            sources,
            files: FxHashMap::default(),
            ids: FxHashMap::default(),
            next_id: 0,
            uses: 0,
            open_files: 0,
            held: Held::default(),
            results: Recent::new(settings.max_results),
            names: Recent::new(settings.max_results / 2),
            source_files: Recent::new(settings.max_results / 8),
            counts: SymbolCounts::default(),
            settings,
        }
    }

    /// Makes a file known, or known again. `path` is what its process calls it.
    ///
    /// Never fails: a file that cannot be read has no names, and each lookup says so.
    pub fn register(&mut self, path: Arc<str>, file: File) -> FileId {
        let key = FileKey::of(&file);
        self.uses += 1;
        let known = key.and_then(|key| self.ids.get(&key).copied());
        if let Some(id) = known
            && let Some(registered) = self.files.get_mut(&id)
        {
            registered.last_use = self.uses;
            if let State::Closed = registered.state {
                self.open_files += registered.open(file);
            }
            self.close_files();
            return id;
        }
        let id = FileId(self.next_id);
        self.next_id += 1;
        if let Some(key) = key {
            self.ids.insert(key, id);
        }
        let mut registered = RegisteredFile::new(path, self.uses);
        self.open_files += registered.open(file);
        self.files.insert(id, registered);
        self.forget_files();
        self.close_files();
        id
    }

    /// Makes an image known that is held in memory, such as the vDSO's. It is never forgotten.
    pub fn register_image(&mut self, path: Arc<str>, elf: ElfFile) -> FileId {
        let id = FileId(self.next_id);
        self.next_id += 1;
        let mut registered = RegisteredFile::new(path, self.uses);
        registered.in_memory = true;
        registered.accept(elf);
        self.files.insert(id, registered);
        id
    }

    /// GNU build id in lower-case hex; empty where there is none.
    #[must_use]
    pub fn build_id(&self, id: FileId) -> Arc<str> {
        self.files.get(&id).map(|file| Arc::clone(&file.build_id)).unwrap_or_default()
    }

    /// Whether new addresses of the file can only be named after it is registered again.
    #[must_use]
    pub fn needs_file(&self, id: FileId) -> bool {
        self.files.get(&id).is_none_or(|file| matches!(file.state, State::Closed))
    }

    /// The functions at `offset` of the file, and its address there. For a return address, pass the
    /// offset before it: the call is what ran. Needs 1 MiB of stack.
    ///
    /// Where the file does not say how it is placed in memory, the address is the offset.
    pub fn symbolize(&mut self, id: FileId, offset: FileOffset) -> (Svma, Symbol) {
        let Some(file) = self.files.get_mut(&id) else {
            return (Svma(offset.0), self.unknown(UnknownReason::FileGone));
        };
        self.uses += 1;
        file.last_use = self.uses;
        let Some(svma) = svma_of(&file.segments, offset) else {
            let refused = matches!(file.state, State::Refused);
            let reason = if refused { UnknownReason::NotReadable } else { UnknownReason::Stripped };
            return (Svma(offset.0), self.unknown(reason));
        };
        if let Some(symbol) = self.results.get(&(id, svma)) {
            return (svma, symbol);
        }
        let symbol = match self.look_up(id, svma) {
            Ok(symbol) => symbol,
            // Not remembered: the file may come back.
            Err(UnknownReason::FileGone) => return (svma, self.unknown(UnknownReason::FileGone)),
            Err(reason) => self.unknown(reason),
        };
        self.results.insert((id, svma), symbol.clone());
        (svma, symbol)
    }

    /// Lets go of debug information that no new address needed for some windows. To be called when
    /// all addresses of a window have been named. Returns the bytes that were freed: an allocator
    /// that keeps them may be told to give them back.
    pub fn end_window(&mut self) -> usize {
        let before = self.memory().debug_info;
        for file in self.files.values_mut() {
            if let State::Open(binary) = &mut file.state {
                binary.end_window();
            }
        }
        self.held = self.memory();
        before - self.held.debug_info
    }

    /// What could not be done.
    #[must_use]
    pub const fn counts(&self) -> &SymbolCounts {
        &self.counts
    }

    /// Memory of symbol tables and debug information.
    #[must_use]
    pub fn memory(&self) -> Held {
        self.binaries().fold(Held::default(), |held, (_, binary)| held.plus(binary))
    }

    fn unknown(&mut self, reason: UnknownReason) -> Symbol {
        self.counts.unknown[reason as usize] += 1;
        Symbol::Unknown(reason)
    }

    fn look_up(&mut self, id: FileId, svma: Svma) -> Result<Symbol, UnknownReason> {
        let file = self.files.get_mut(&id).ok_or(UnknownReason::FileGone)?;
        let State::Open(binary) = &mut file.state else { return Err(UnknownReason::FileGone) };
        let before = Held::default().plus(binary);
        let found = binary.frames(svma, Path::new(&*file.path), &self.sources);
        let after = Held::default().plus(binary);
        self.held.tables += after.tables.saturating_sub(before.tables);
        self.held.debug_info += after.debug_info.saturating_sub(before.debug_info);
        let Found { frames, loss } = found.map_err(|error| {
            tracing::debug!(path = &*file.path, %error, "symbol table refused");
            UnknownReason::NotReadable
        })?;
        if let Some(loss) = loss {
            tracing::debug!(path = &*file.path, reason = loss.label(), "debug information refused");
            self.counts.debug_info[loss as usize] += 1;
        }
        self.shrink();
        if frames.is_empty() {
            return Err(UnknownReason::Stripped);
        }
        Ok(Symbol::Known(frames.into_iter().map(|frame| self.function(frame)).collect()))
    }

    fn function(&mut self, frame: SourceFrame) -> Function {
        let system_name = cut(frame.name.unwrap_or_default());
        let (system_name, name) = self.names.get(&*system_name).unwrap_or_else(|| {
            let readable = demangle(&system_name);
            let system_name: Arc<str> = system_name.into();
            let name =
                if *readable == *system_name { Arc::clone(&system_name) } else { readable.into() };
            self.names
                .insert(Arc::clone(&system_name), (Arc::clone(&system_name), Arc::clone(&name)));
            (system_name, name)
        });
        let file = frame.file.map(|path| self.source_file(cut(path)));
        Function { name, system_name, file, line: frame.line }
    }

    fn source_file(&mut self, path: String) -> Arc<str> {
        self.source_files.get(&*path).unwrap_or_else(|| {
            let path: Arc<str> = path.into();
            self.source_files.insert(Arc::clone(&path), Arc::clone(&path));
            path
        })
    }

    /// Uses of the files with a descriptor.
    fn open_uses(&self) -> Vec<u64> {
        let open = self.binaries().filter(|(file, _)| !file.in_memory);
        open.map(|(file, _)| file.last_use).collect()
    }

    fn binaries(&self) -> impl Iterator<Item = (&RegisteredFile, &Binary)> {
        self.files.values().filter_map(|file| match &file.state {
            State::Open(binary) => Some((file, &**binary)),
            _ => None,
        })
    }

    /// Lets go of the longest unused tables until all fit. Those of the file used last stay, because
    /// its next address would load them again: what one file may hold is limited by itself.
    fn shrink(&mut self) {
        if self.fits() {
            return;
        }
        self.held = self.memory();
        let last = self.uses;
        let mut files: Vec<&mut RegisteredFile> =
            self.files.values_mut().filter(|file| file.last_use != last).collect();
        files.sort_unstable_by_key(|file| file.last_use);
        for file in files {
            let State::Open(binary) = &mut file.state else { continue };
            if self.held.debug_info > self.settings.max_debug_bytes {
                self.held.debug_info -= binary.debug_bytes();
                binary.drop_debug_info();
            }
            if self.held.tables > self.settings.max_table_bytes {
                self.held.tables -= binary.table_bytes();
                binary.drop_tables();
            }
        }
    }

    const fn fits(&self) -> bool {
        self.held.debug_info <= self.settings.max_debug_bytes
            && self.held.tables <= self.settings.max_table_bytes
    }

    /// Closes the files unused the longest while too many are open. Closes some more than needed,
    /// so that not every registration has to look for one.
    fn close_files(&mut self) {
        let limit = self.settings.max_open_files;
        if self.open_files <= limit {
            return;
        }
        let mut uses = self.open_uses();
        uses.sort_unstable();
        let surplus = uses.len().saturating_sub(limit) + limit / 8;
        let oldest_kept = uses.get(surplus).copied().unwrap_or(self.uses);
        for file in self.files.values_mut() {
            let open = matches!(file.state, State::Open(_)) && !file.in_memory;
            if open && file.last_use < oldest_kept {
                file.state = State::Closed;
            }
        }
        self.open_files = self.open_uses().len();
    }

    /// Forgets the files unused the longest while too many are remembered.
    fn forget_files(&mut self) {
        let limit = self.settings.max_files;
        if self.files.len() <= limit {
            return;
        }
        let mut uses: Vec<u64> = self.files.values().map(|file| file.last_use).collect();
        uses.sort_unstable();
        let oldest_kept = uses.get(uses.len() - limit + limit / 8).copied().unwrap_or(self.uses);
        self.files.retain(|_, file| file.in_memory || file.last_use >= oldest_kept);
        let files = &self.files;
        self.ids.retain(|_, id| files.contains_key(id));
        self.results.retain(|(id, _)| files.contains_key(id));
        self.open_files = self.open_uses().len();
    }
}

impl FileKey {
    fn of(file: &File) -> Option<Self> {
        let metadata = file.metadata().ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

impl Held {
    fn plus(self, binary: &Binary) -> Self {
        Self {
            tables: self.tables + binary.table_bytes(),
            debug_info: self.debug_info + binary.debug_bytes(),
        }
    }
}

impl RegisteredFile {
    fn new(path: Arc<str>, last_use: u64) -> Self {
        let (build_id, segments) = Default::default();
        Self { path, build_id, segments, state: State::Closed, in_memory: false, last_use }
    }

    /// Reads the headers. Returns how many descriptors are kept.
    fn open(&mut self, file: File) -> usize {
        match ElfFile::open(file) {
            Ok(elf) => {
                self.accept(elf);
                1
            }
            Err(error) => {
                tracing::debug!(path = &*self.path, %error, "file refused");
                self.state = State::Refused;
                0
            }
        }
    }

    fn accept(&mut self, elf: ElfFile) {
        self.build_id = Arc::clone(elf.build_id());
        self.segments = elf.segments();
        self.state = State::Open(Box::new(Binary::new(elf)));
    }
}
