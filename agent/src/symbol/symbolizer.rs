//! Names for addresses in files: finds the functions, makes them readable, remembers them.
//!
//! Name all addresses of one file before those of the next: then each file is loaded once at most.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::binary::Found;
use super::debuginfod::Debuginfod;
use super::demangle::{cut, demangle};
use super::dwarf::{DebugInfoLimits, DebugInfoLoss, SourceFrame};
use super::elf::ElfFile;
use super::files::{FileId, Files, Held};
use super::recent::Recent;
use super::{FileOffset, Function, Svma, Symbol, SymbolSource, UnknownReason};

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
    /// Windows that must have ended before debug information that was let go is loaded once more;
    /// until then, new addresses of its file are named by the symbol table alone, without source
    /// lines and inlined functions. 0 loads it whenever it could tell something.
    pub reload_after_windows: u8,
    /// Time that debug information of all files may take in a window, on average; when it is spent,
    /// new addresses are named as above. `None` for no limit.
    pub debug_time_per_window: Option<Duration>,
    /// Addresses whose names are remembered.
    pub max_results: usize,
    /// What debug information of one file may cost.
    pub debug_info: DebugInfoLimits,
    /// Where separate debug files are.
    pub debug_directories: Vec<PathBuf>,
    /// Where debug files from debuginfod are kept, laid out as the others; also used when nobody is
    /// asked for more.
    pub debuginfod_cache: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_open_files: 512,
            max_files: 16_384,
            max_table_bytes: 16 << 20,
            max_debug_bytes: 12 << 20,
            reload_after_windows: 0,
            debug_time_per_window: None,
            max_results: 32_768,
            debug_info: DebugInfoLimits::default(),
            debug_directories: vec![PathBuf::from("/usr/lib/debug")],
            debuginfod_cache: None,
        }
    }
}

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
    files: Files,
    /// By file, the debug files that came for it, and address.
    results: Recent<(FileId, u32, Svma), Symbol>,
    debuginfod: Option<Debuginfod>,
    /// Readable names by mangled ones.
    names: Recent<Arc<str>, (Arc<str>, Arc<str>)>,
    source_files: Recent<Arc<str>, Arc<str>>,
    counts: SymbolCounts,
}

impl Symbolizer {
    /// Holds nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            results: Recent::new(settings.max_results),
            names: Recent::new(settings.max_results / 2),
            source_files: Recent::new(settings.max_results / 8),
            counts: SymbolCounts::default(),
            debuginfod: None,
            files: Files::new(settings),
        }
    }

    /// Also takes names from debug files that debuginfod servers have. They come by way of the
    /// cache that the settings name.
    #[must_use]
    pub fn with_debuginfod(mut self, debuginfod: Debuginfod) -> Self {
        self.debuginfod = Some(debuginfod);
        self
    }

    /// Makes a file known, or known again by its device, inode, size and time of change. `path` is
    /// what its process calls it.
    ///
    /// Never fails: a file that cannot be read has no names, and each lookup says so.
    pub fn register(&mut self, path: Arc<str>, file: File) -> FileId {
        self.files.register(path, file)
    }

    /// Makes an image known that is held in memory, such as the vDSO's. It is never forgotten.
    pub fn register_image(&mut self, path: Arc<str>, elf: ElfFile) -> FileId {
        self.files.register_image(path, elf)
    }

    /// GNU build id in lower-case hex; empty where there is none.
    #[must_use]
    pub fn build_id(&self, id: FileId) -> Arc<str> {
        self.files.build_id(id)
    }

    /// Whether the next file that is made known closes those unused the longest.
    #[must_use]
    pub const fn is_full_of_files(&self) -> bool {
        self.files.is_full()
    }

    /// Whether new addresses of the file can only be named after it is registered again.
    #[must_use]
    pub fn needs_file(&self, id: FileId) -> bool {
        self.files.is_closed(id)
    }

    /// The functions at `offset` of the file, and its address there. For a return address, pass the
    /// offset before it: the call is what ran. Needs 1 MiB of stack.
    ///
    /// Where the file does not say how it is placed in memory, the address is the offset.
    pub fn symbolize(&mut self, id: FileId, offset: FileOffset) -> (Svma, Symbol) {
        let svma = match self.files.svma_of(id, offset) {
            Ok(svma) => svma,
            Err(reason) => return (Svma(offset.0), self.unknown(reason)),
        };
        let symbol = self.at(id, svma);
        (svma, self.said_of_debuginfod(id, symbol))
    }

    fn at(&mut self, id: FileId, svma: Svma) -> Symbol {
        let key = (id, self.files.generation(id), svma);
        if let Some(symbol) = self.results.get(&key) {
            return symbol;
        }
        let symbol = match self.look_up(id, svma) {
            Ok((symbol, true)) => return symbol,
            Ok((symbol, false)) => symbol,
            // Not remembered: the file may come back.
            Err(UnknownReason::FileGone) => return self.unknown(UnknownReason::FileGone),
            Err(reason) => self.unknown(reason),
        };
        self.results.insert(key, symbol.clone());
        symbol
    }

    /// What is remembered of a stripped program does not say how asking for its names goes.
    fn said_of_debuginfod(&self, id: FileId, symbol: Symbol) -> Symbol {
        match symbol {
            Symbol::Unknown(UnknownReason::Stripped) => Symbol::Unknown(self.stripped(id)),
            other => other,
        }
    }

    fn stripped(&self, id: FileId) -> UnknownReason {
        let debuginfod = self.debuginfod.as_ref();
        let reason = debuginfod.and_then(|asked| asked.reason(&self.files.build_id(id)));
        reason.unwrap_or(UnknownReason::Stripped)
    }

    /// Asks debuginfod, if it is configured, for the names of a file that has none. Never waits: a
    /// later window has them.
    pub fn want_debug_file(&mut self, id: FileId) {
        if let Some(debuginfod) = &mut self.debuginfod {
            debuginfod.want(&self.files.build_id(id));
        }
    }

    /// Where the names of a file come from. Looks for its separate debug file, if that was not done.
    pub fn source(&mut self, id: FileId) -> SymbolSource {
        match self.files.source(id) {
            SymbolSource::DynamicSymbols(UnknownReason::Stripped) => {
                SymbolSource::DynamicSymbols(self.stripped(id))
            }
            SymbolSource::None(UnknownReason::Stripped) => SymbolSource::None(self.stripped(id)),
            other => other,
        }
    }

    /// Lets go of debug information that no new address needed for some windows. To be called when
    /// all addresses of a window have been named. Returns the bytes that were freed: an allocator
    /// that keeps them may be told to give them back.
    pub fn end_window(&mut self) -> usize {
        let arrived = self.debuginfod.as_mut().map(Debuginfod::end_window).unwrap_or_default();
        self.came(&arrived);
        self.files.end_window()
    }

    /// Waits until debuginfod has answered for all files that are wanted, but not longer. Says
    /// whether any came: their addresses may be looked up again.
    pub fn wait_for_debug_files(&mut self, longest: Duration) -> bool {
        let debuginfod = self.debuginfod.as_mut();
        let arrived = debuginfod.map(|asked| asked.wait(longest)).unwrap_or_default();
        self.came(&arrived);
        !arrived.is_empty()
    }

    fn came(&mut self, build_ids: &[Arc<str>]) {
        for build_id in build_ids {
            self.files.debug_file_came(build_id);
        }
    }

    /// What could not be done.
    #[must_use]
    pub const fn counts(&self) -> &SymbolCounts {
        &self.counts
    }

    /// Memory of symbol tables and debug information.
    #[must_use]
    pub fn memory(&self) -> Held {
        self.files.memory()
    }

    fn unknown(&mut self, reason: UnknownReason) -> Symbol {
        self.counts.unknown[reason as usize] += 1;
        Symbol::Unknown(reason)
    }

    /// The name, and whether a better one may be had later.
    fn look_up(&mut self, id: FileId, svma: Svma) -> Result<(Symbol, bool), UnknownReason> {
        let Found { frames, loss, provisional, otherwise } = self.files.frames(id, svma)?;
        if let Some(loss) = loss {
            self.counts.debug_info[loss as usize] += 1;
        }
        if frames.is_empty() {
            return Err(otherwise);
        }
        let functions = frames.into_iter().map(|frame| self.function(frame)).collect();
        Ok((Symbol::Known(functions), provisional))
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
}
