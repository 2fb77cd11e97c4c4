//! The files that addresses lie in, within fixed memory and descriptors. Finds no names itself.
//!
//! The life of a file: registering knows it again by device, inode, size and time of change. Its
//! headers are read at once, its tables when an address is asked for. Descriptors, tables and debug
//! information of the files used longest ago are let go when there are too many. Without descriptor
//! a file says [`UnknownReason::FileGone`], until it is registered again, and one that was refused is
//! tried again then: it may have been a disk that failed.
//!
//! Separate debug files and their supplements are open beside a file, count with it, and are closed
//! with it. What is not counted: files of split debug information.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::binary::{Binary, Found, Sources};
use super::budget::Budget;
use super::elf::{ElfFile, Segment, svma_of};
use super::symbolizer::Settings;
use super::{FileOffset, Svma, SymbolSource, UnknownReason};

/// A registered file. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// All registered files.
pub(super) struct Files {
    settings: Settings,
    sources: Sources,
    budget: Budget,
    files: FxHashMap<FileId, RegisteredFile>,
    ids: FxHashMap<FileKey, FileId>,
    next_id: u32,
    /// Counts uses, to tell what was used longest ago.
    uses: u64,
    /// Descriptors of registered files and of those beside them, as of the last look at all files,
    /// and what was opened since.
    open_files: usize,
    /// Memory of tables and debug information as of the last look at all files, and what was
    /// loaded since.
    held: Held,
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
    /// Nothing was asked of it since it was opened.
    is_fresh: bool,
    last_use: u64,
    /// Counts the debug files that came: names found before are looked up again.
    generation: u32,
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

impl Files {
    pub(super) fn new(settings: Settings) -> Self {
        let mut sources = Sources {
            reload_after_windows: settings.reload_after_windows,
            time_is_up: false,
            limits: settings.debug_info,
            debug_directories: settings.debug_directories.clone(),
            debuginfod_cache: settings.debuginfod_cache.clone(),
        };
        sources.debug_directories.extend(settings.debuginfod_cache.clone());
        Self {
            budget: Budget::new(settings.debug_time_per_window),
            settings,
            sources,
            files: FxHashMap::default(),
            ids: FxHashMap::default(),
            next_id: 0,
            uses: 0,
            open_files: 0,
            held: Held::default(),
        }
    }

    /// Makes a file known, or known again. `path` is what its process calls it.
    ///
    /// Never fails: a file that cannot be read has no names, and each lookup says so.
    pub(super) fn register(&mut self, path: Arc<str>, file: File) -> FileId {
        let key = FileKey::of(&file);
        self.uses += 1;
        let known = key.and_then(|key| self.ids.get(&key).copied());
        if let Some(id) = known
            && let Some(registered) = self.files.get_mut(&id)
        {
            registered.last_use = self.uses;
            if let State::Closed | State::Refused = registered.state {
                // Who brings it has addresses to ask for.
                registered.is_fresh = true;
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
    pub(super) fn register_image(&mut self, path: Arc<str>, elf: ElfFile) -> FileId {
        let id = FileId(self.next_id);
        self.next_id += 1;
        let mut registered = RegisteredFile::new(path, self.uses);
        registered.in_memory = true;
        registered.accept(elf);
        self.files.insert(id, registered);
        id
    }

    pub(super) fn build_id(&self, id: FileId) -> Arc<str> {
        self.files.get(&id).map(|file| Arc::clone(&file.build_id)).unwrap_or_default()
    }

    /// Whether the next file closes others.
    pub(super) const fn is_full(&self) -> bool {
        self.open_files >= self.settings.max_open_files
    }

    pub(super) fn is_closed(&self, id: FileId) -> bool {
        self.files.get(&id).is_none_or(|file| matches!(file.state, State::Closed))
    }

    /// The address of a byte, or why the file has none there. Counts as a use.
    pub(super) fn svma_of(
        &mut self,
        id: FileId,
        offset: FileOffset,
    ) -> Result<Svma, UnknownReason> {
        let file = self.files.get_mut(&id).ok_or(UnknownReason::FileGone)?;
        self.uses += 1;
        file.last_use = self.uses;
        file.is_fresh = false;
        svma_of(&file.segments, offset).ok_or(match file.state {
            State::Refused => UnknownReason::NotReadable,
            _ => UnknownReason::NotInSymbolTable,
        })
    }

    /// How many debug files came for the file.
    pub(super) fn generation(&self, id: FileId) -> u32 {
        self.files.get(&id).map_or(0, |file| file.generation)
    }

    /// A debug file for these programs came: they are looked at anew.
    pub(super) fn debug_file_came(&mut self, build_id: &str) {
        for file in self.files.values_mut().filter(|file| *file.build_id == *build_id) {
            file.generation += 1;
            if let State::Open(binary) = &mut file.state {
                binary.forget_separate();
            }
        }
    }

    /// Where the names of a file come from.
    pub(super) fn source(&mut self, id: FileId) -> SymbolSource {
        let gone = SymbolSource::None(UnknownReason::FileGone);
        let Some(file) = self.files.get_mut(&id) else { return gone };
        match &mut file.state {
            State::Open(binary) => {
                let before = binary.descriptors();
                let source = binary.source(Path::new(&*file.path), &self.sources);
                self.open_files += binary.descriptors().saturating_sub(before);
                source
            }
            State::Closed => gone,
            State::Refused => SymbolSource::None(UnknownReason::NotReadable),
        }
    }

    /// The functions at an address, and then room for what was loaded.
    pub(super) fn frames(&mut self, id: FileId, svma: Svma) -> Result<Found, UnknownReason> {
        let file = self.files.get_mut(&id).ok_or(UnknownReason::FileGone)?;
        let State::Open(binary) = &mut file.state else { return Err(UnknownReason::FileGone) };
        let (before, descriptors) = (Held::default().plus(binary), binary.descriptors());
        self.sources.time_is_up = self.budget.is_spent();
        let started = Instant::now();
        let found = binary.frames(svma, Path::new(&*file.path), &self.sources);
        self.budget.spend(started.elapsed());
        let after = Held::default().plus(binary);
        self.open_files += binary.descriptors().saturating_sub(descriptors);
        self.held.tables += after.tables.saturating_sub(before.tables);
        self.held.debug_info += after.debug_info.saturating_sub(before.debug_info);
        if let Ok(Found { loss: Some(loss), .. }) = &found {
            tracing::debug!(path = &*file.path, reason = loss.label(), "debug information refused");
        }
        let found = found.map_err(|error| {
            tracing::debug!(path = &*file.path, %error, "symbol table refused");
            UnknownReason::NotReadable
        });
        self.shrink();
        found
    }

    /// Returns the bytes that were freed.
    pub(super) fn end_window(&mut self) -> usize {
        self.budget.end_window();
        let before = self.memory().debug_info;
        for file in self.files.values_mut() {
            if let State::Open(binary) = &mut file.state {
                binary.end_window();
            }
        }
        self.held = self.memory();
        before - self.held.debug_info
    }

    pub(super) fn memory(&self) -> Held {
        self.binaries().fold(Held::default(), |held, (_, binary)| held.plus(binary))
    }

    /// Ranks of the open files, with their descriptors.
    fn open_uses(&self) -> Vec<((bool, u64), usize)> {
        let open = self.binaries().filter(|(file, _)| !file.in_memory);
        open.map(|(file, binary)| (file.rank(), binary.descriptors())).collect()
    }

    fn descriptors(&self) -> usize {
        self.open_uses().iter().map(|(_, descriptors)| descriptors).sum()
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
        // Those that hold something: the last one may be over the limits by itself for long.
        let holders = self.files.values_mut().filter_map(|file| match &mut file.state {
            State::Open(binary) if file.last_use != last => {
                let holds = binary.debug_bytes() > 0 || binary.table_bytes() > 0;
                holds.then_some((file.last_use, binary))
            }
            _ => None,
        });
        let mut holders: Vec<_> = holders.collect();
        holders.sort_unstable_by_key(|(last_use, _)| *last_use);
        for (_, binary) in holders {
            if self.held.debug_info > self.settings.max_debug_bytes {
                self.held.debug_info -= binary.debug_bytes();
                binary.shrink_debug_info();
                self.held.debug_info += binary.debug_bytes();
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

    /// Closes the files unused the longest while too many are open, but for the last. Closes some
    /// more than needed, so that not every registration has to look for one.
    fn close_files(&mut self) {
        let limit = self.settings.max_open_files;
        if self.open_files <= limit {
            return;
        }
        self.open_files = self.descriptors();
        if self.open_files <= limit {
            return;
        }
        let mut uses = self.open_uses();
        uses.sort_unstable();
        let mut uses = uses.into_iter().peekable();
        while uses.len() > 1
            && let Some((_, descriptors)) = uses.next_if(|_| self.open_files > limit - limit / 8)
        {
            self.open_files -= descriptors;
        }
        let oldest_kept = uses.peek().map_or((true, self.uses), |(rank, _)| *rank);
        for file in self.files.values_mut() {
            let open = matches!(file.state, State::Open(_)) && !file.in_memory;
            if open && file.rank() < oldest_kept {
                file.state = State::Closed;
            }
        }
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
        self.open_files = self.descriptors();
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
    /// What comes first is closed first: a file that nothing was asked of yet was made known for
    /// addresses that are on their way.
    const fn rank(&self) -> (bool, u64) {
        (self.is_fresh, self.last_use)
    }

    fn new(path: Arc<str>, last_use: u64) -> Self {
        let (build_id, segments) = Default::default();
        Self {
            path,
            build_id,
            segments,
            state: State::Closed,
            in_memory: false,
            is_fresh: true,
            last_use,
            generation: 0,
        }
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

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;

    fn open(path: &Path) -> File {
        File::open(path).expect("readable")
    }

    #[test]
    fn separate_debug_files_count_with_their_files() {
        let maps = fs::read_to_string("/proc/self/maps").expect("readable");
        let line = maps.lines().find(|line| line.contains("libc.so.6")).expect("mapped");
        let library = Path::new(line.split_whitespace().nth(5).expect("a path"));
        let directory = tempfile::tempdir().expect("a directory");
        let elf = ElfFile::open(open(library)).expect("an ELF file");
        let (first, rest) = elf.build_id().split_at(2);
        let debug = directory.path().join(".build-id").join(first).join(format!("{rest}.debug"));
        fs::create_dir_all(debug.parent().expect("has one")).expect("made");
        fs::copy(library, debug).expect("copied");
        let debug_directories = vec![directory.path().to_owned()];
        let settings = Settings { max_open_files: 8, debug_directories, ..Settings::default() };
        let mut files = Files::new(settings);
        for number in 1..=8 {
            let path = directory.path().join(number.to_string());
            fs::copy(library, &path).expect("copied");
            let name: Arc<str> = path.to_str().expect("text").into();
            let id = files.register(name, open(&path));
            assert!(matches!(files.source(id), SymbolSource::SeparateFile(_)));
            assert_eq!(files.open_files, files.descriptors());
            assert!(files.open_files <= 8 + 1, "closed with the next that comes");
            assert!(!files.is_closed(id));
        }
        assert!(files.open_files > 4, "{}", files.open_files);
    }

    #[test]
    fn a_file_that_could_not_be_read_is_tried_again_with_another_descriptor() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("program");
        fs::copy(std::env::current_exe().expect("known"), &path).expect("copied");
        let unreadable = OpenOptions::new().append(true).open(&path).expect("there");
        let mut files = Files::new(Settings::default());
        let name: Arc<str> = path.to_str().expect("text").into();
        let id = files.register(Arc::clone(&name), unreadable);
        let refused = SymbolSource::None(UnknownReason::NotReadable);
        assert_eq!((files.source(id), files.open_files), (refused.clone(), 0));
        let again = files.register(name, File::open(&path).expect("there"));
        assert_eq!(again, id);
        assert_ne!((files.source(id), files.open_files), (refused, 0));
        assert_eq!(files.open_files, 1);
    }
}
