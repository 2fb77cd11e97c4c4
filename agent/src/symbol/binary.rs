//! One open binary: names for its addresses from debug information and symbol tables, its own or
//! those of its separate debug file. Everything is loaded when first needed and can be let go.
//!
//! Sources, best first: Go's own table (of Go programs, which have no better one); debug information
//! (with inlined functions and lines); symbol tables of the separate debug file, of the file, and of
//! the file embedded in it.

use std::path::{Path, PathBuf};

use super::dwarf::{DebugInfo, DebugInfoLimits, DebugInfoLoss, SourceFrame};
use super::elf::{
    ElfError, ElfFile, ElfSymbols, Section, find_debug_file, find_embedded, find_supplement,
};
use super::go::GoTable;
use super::{Svma, SymbolSource, UnknownReason};

/// What a binary needs of the settings.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    pub(super) limits: DebugInfoLimits,
    pub(super) debug_directories: Vec<PathBuf>,
    /// One of the directories: where files from debuginfod are.
    pub(super) debuginfod_cache: Option<PathBuf>,
    /// Windows that must have ended before debug information is loaded once more.
    pub(super) reload_after_windows: u8,
    /// There is no time left for debug information in this window.
    pub(super) time_is_up: bool,
}

/// A binary with an open file.
pub(super) struct Binary {
    symbols: ElfSymbols,
    separate: Separate,
    embedded: Embedded,
    go: Go,
    debug_info: Loading,
    /// Windows that ended since debug information was last asked for.
    idle_windows: u8,
    /// Windows that ended since debug information was loaded; `None` if it never was.
    windows_since_load: Option<u8>,
    /// Lookups that debug information answered with nonsense.
    corrupt: u8,
    /// Why debug information was not used, the last time that it was not.
    loss: Option<DebugInfoLoss>,
}

/// Windows after which debug information is let go: loading it again costs more than to keep it
/// while new addresses still come.
const MAX_IDLE_WINDOWS: u8 = 6;
/// Bad answers after which debug information is not asked any more. One bad unit is no reason.
const MAX_CORRUPT: u8 = 16;

enum Separate {
    NotYet,
    Absent,
    Found { symbols: Box<ElfSymbols>, path: PathBuf },
}

/// The small file in `.gnu_debugdata`, which is held in memory.
enum Embedded {
    NotYet,
    Absent,
    Found(Box<ElfSymbols>),
}

enum Go {
    NotYet,
    Absent,
    Found(Box<GoTable>),
}

enum Loading {
    NotYet,
    /// There is none, or it was refused.
    Nothing,
    Ready(Box<DebugInfo>),
}

/// What is known of one address.
pub(super) struct Found {
    /// Innermost inlined function first; empty if nothing names the address. All have names.
    pub(super) frames: Vec<SourceFrame>,
    /// Debug information that was there but was not used for this address.
    pub(super) loss: Option<DebugInfoLoss>,
    /// Debug information may tell more, but it is not time to load it again.
    pub(super) provisional: bool,
    /// Why there are no frames, if there are none.
    pub(super) otherwise: UnknownReason,
}

impl Binary {
    pub(super) fn new(elf: ElfFile) -> Self {
        Self {
            symbols: ElfSymbols::new(elf),
            separate: Separate::NotYet,
            embedded: Embedded::NotYet,
            go: Go::NotYet,
            debug_info: Loading::NotYet,
            idle_windows: 0,
            windows_since_load: None,
            corrupt: 0,
            loss: None,
        }
    }

    /// The functions at `svma`.
    ///
    /// # Errors
    /// Says why the symbol tables cannot be used, if debug information had no name either.
    pub(super) fn frames(
        &mut self,
        svma: Svma,
        path: &Path,
        sources: &Sources,
    ) -> Result<Found, ElfError> {
        if let Some(frames) = self.go_frames(svma) {
            let otherwise = UnknownReason::NotInSymbolTable;
            return Ok(Found { frames, loss: None, provisional: false, otherwise });
        }
        self.find_separate(path, sources);
        let provisional = self.must_wait(sources);
        let (mut frames, loss) = match self.source_frames(svma, path, sources) {
            Ok(frames) => (frames, self.split_missing().then_some(DebugInfoLoss::SplitMissing)),
            Err(loss) => (Vec::new(), Some(loss)),
        };
        self.loss = loss.or(self.loss);
        // The function that was really called has a symbol even where debug information has gaps.
        if frames.last().is_none_or(|outermost| outermost.name.is_none()) {
            let name = match self.symbol_name(svma) {
                Err(error) if frames.is_empty() => return Err(error),
                name => name.unwrap_or_default(),
            };
            match frames.last_mut() {
                Some(outermost) => outermost.name = name,
                None => frames.push(SourceFrame { name, ..SourceFrame::default() }),
            }
        }
        frames.retain(|frame| frame.name.as_ref().is_some_and(|name| !name.is_empty()));
        let otherwise = self.without_name();
        Ok(Found { frames, loss, provisional, otherwise })
    }

    /// Where its names come from.
    pub(super) fn source(&mut self, path: &Path, sources: &Sources) -> SymbolSource {
        let source = self.best_source(path, sources);
        match self.loss {
            Some(loss) => SymbolSource::Losing(source.into(), loss),
            None => source,
        }
    }

    fn best_source(&mut self, path: &Path, sources: &Sources) -> SymbolSource {
        // Each finds out what it needs to answer.
        let go = self.go_frames(Svma(0)).is_some() || matches!(self.go, Go::Found(_));
        self.find_separate(path, sources);
        let refused = self.embedded_name(Svma(0)).is_err();
        let has = |name| self.symbols.elf().section(name).is_some_and(Section::has_bytes);
        match &self.separate {
            _ if go => SymbolSource::GoTable,
            Separate::Found { path, .. } => match &sources.debuginfod_cache {
                Some(cache) if path.starts_with(cache) => SymbolSource::Debuginfod(path.clone()),
                _ => SymbolSource::SeparateFile(path.clone()),
            },
            _ if has(".debug_info") => SymbolSource::DebugInfo,
            _ if has(".symtab") => SymbolSource::SymbolTable,
            _ if matches!(self.embedded, Embedded::Found(_)) => SymbolSource::Embedded,
            _ if refused => SymbolSource::None(UnknownReason::NotReadable),
            _ if has(".dynsym") => SymbolSource::DynamicSymbols(UnknownReason::Stripped),
            _ => SymbolSource::None(UnknownReason::Stripped),
        }
    }

    /// Looks for a separate debug file anew: one may have come.
    pub(super) fn forget_separate(&mut self) {
        if !matches!(self.separate, Separate::Found { .. }) {
            self.separate = Separate::NotYet;
            self.debug_info = Loading::NotYet;
            self.windows_since_load = None;
            self.loss = None;
        }
    }

    fn split_missing(&mut self) -> bool {
        if let Loading::Ready(info) = &mut self.debug_info {
            info.take_split_missing()
        } else {
            false
        }
    }

    /// What is to be said of an address that nothing names.
    fn without_name(&self) -> UnknownReason {
        let whole = matches!(self.separate, Separate::Found { .. })
            || matches!(self.embedded, Embedded::Found(_))
            || matches!(self.go, Go::Found(_))
            || self.symbols.elf().section(".symtab").is_some_and(Section::has_bytes);
        if whole { UnknownReason::NotInSymbolTable } else { UnknownReason::Stripped }
    }

    /// Files that are open for it: its own, and those beside it.
    pub(super) fn descriptors(&self) -> usize {
        let has_supplement = match &self.debug_info {
            Loading::Ready(info) => info.has_supplement(),
            _ => false,
        };
        let is_separate = matches!(self.separate, Separate::Found { .. });
        1 + usize::from(is_separate) + usize::from(has_supplement)
    }

    /// Memory of symbol tables, in bytes.
    pub(super) fn table_bytes(&self) -> usize {
        let separate = match &self.separate {
            Separate::Found { symbols, .. } => symbols.memory_bytes(),
            _ => 0,
        };
        let embedded = match &self.embedded {
            Embedded::Found(symbols) => {
                let image =
                    usize::try_from(symbols.elf().image().size_bytes()).unwrap_or(usize::MAX);
                symbols.memory_bytes() + image
            }
            _ => 0,
        };
        self.symbols.memory_bytes() + separate + embedded
    }

    /// Memory of debug information, in bytes.
    pub(super) fn debug_bytes(&self) -> usize {
        if let Loading::Ready(info) = &self.debug_info { info.memory_bytes() } else { 0 }
    }

    /// Lets go of what debug information was parsed into, or of all of it where that is one piece.
    pub(super) fn shrink_debug_info(&mut self) {
        if let Loading::Ready(info) = &mut self.debug_info {
            let before = info.memory_bytes();
            info.shrink();
            if info.memory_bytes() == before {
                self.drop_debug_info();
            }
        }
    }

    /// Lets go of debug information; it is loaded again when needed.
    pub(super) fn drop_debug_info(&mut self) {
        if let Loading::Ready(_) = self.debug_info {
            self.debug_info = Loading::NotYet;
        }
    }

    /// Lets go of debug information that was not asked for lately.
    pub(super) fn end_window(&mut self) {
        if let Loading::Ready(info) = &mut self.debug_info {
            info.end_window();
        }
        self.idle_windows = self.idle_windows.saturating_add(1);
        self.windows_since_load = self.windows_since_load.map(|windows| windows.saturating_add(1));
        if self.idle_windows > MAX_IDLE_WINDOWS {
            self.drop_debug_info();
        }
    }

    /// Lets go of symbol tables; they are loaded again when needed.
    pub(super) fn drop_tables(&mut self) {
        self.symbols = ElfSymbols::new(self.symbols.elf().clone());
        if let Separate::Found { symbols, .. } = &mut self.separate {
            **symbols = ElfSymbols::new(symbols.elf().clone());
        }
        if let Embedded::Found(_) = self.embedded {
            self.embedded = Embedded::NotYet;
        }
    }

    fn go_frames(&mut self, svma: Svma) -> Option<Vec<SourceFrame>> {
        if let Go::NotYet = self.go {
            let table = GoTable::open(self.symbols.elf());
            self.go = table.map_or(Go::Absent, |table| Go::Found(Box::new(table)));
        }
        let Go::Found(table) = &self.go else { return None };
        table.frames(svma)
    }

    /// Loading takes some 100 ms of CPU for a big binary: new addresses that come one by one must not
    /// cause it each time.
    fn must_wait(&self, sources: &Sources) -> bool {
        if sources.time_is_up {
            return !matches!(self.debug_info, Loading::Nothing);
        }
        let recent = self.windows_since_load.is_some_and(|ago| ago < sources.reload_after_windows);
        recent && matches!(self.debug_info, Loading::NotYet)
    }

    /// A file that has both kinds of names itself needs no other.
    fn find_separate(&mut self, path: &Path, sources: &Sources) {
        if !matches!(self.separate, Separate::NotYet) {
            return;
        }
        let elf = self.symbols.elf();
        let whole = elf.section(".debug_info").is_some_and(Section::has_bytes);
        let found =
            if whole { None } else { find_debug_file(elf, path, &sources.debug_directories) };
        self.separate = found.map_or(Separate::Absent, |(elf, path)| Separate::Found {
            symbols: Box::new(ElfSymbols::new(elf)),
            path,
        });
    }

    fn symbol_name(&mut self, svma: Svma) -> Result<Option<String>, ElfError> {
        if let Separate::Found { symbols, .. } = &mut self.separate
            && let Ok(Some(name)) = symbols.name(svma)
        {
            return Ok(Some(name));
        }
        match self.symbols.name(svma) {
            Ok(None) => self.embedded_name(svma),
            name => name,
        }
    }

    fn embedded_name(&mut self, svma: Svma) -> Result<Option<String>, ElfError> {
        if let Embedded::NotYet = self.embedded {
            self.embedded = Embedded::Absent;
            if let Some(elf) = find_embedded(self.symbols.elf()) {
                self.embedded = Embedded::Found(Box::new(ElfSymbols::new(elf?)));
            }
        }
        let Embedded::Found(symbols) = &mut self.embedded else { return Ok(None) };
        symbols.name(svma)
    }

    fn source_frames(
        &mut self,
        svma: Svma,
        path: &Path,
        sources: &Sources,
    ) -> Result<Vec<SourceFrame>, DebugInfoLoss> {
        if self.must_wait(sources) {
            return Ok(Vec::new());
        }
        self.idle_windows = 0;
        if let Loading::NotYet = self.debug_info {
            // Refused once is refused for good, so that it is not tried at each address.
            self.debug_info = Loading::Nothing;
            let (elf, at) = match &self.separate {
                Separate::Found { symbols, path } => (symbols.elf(), &**path),
                _ => (self.symbols.elf(), path),
            };
            let supplement = find_supplement(elf, at, &sources.debug_directories);
            let limits = &sources.limits;
            if let Some(info) = DebugInfo::open(elf, path, supplement.as_ref(), limits)? {
                self.debug_info = Loading::Ready(Box::new(info));
                self.windows_since_load = Some(0);
            }
        }
        let Loading::Ready(info) = &mut self.debug_info else { return Ok(Vec::new()) };
        let frames = info.frames(svma);
        match frames {
            Ok(_) => {}
            Err(DebugInfoLoss::Corrupt) if self.corrupt < MAX_CORRUPT => self.corrupt += 1,
            Err(_) => self.debug_info = Loading::Nothing,
        }
        frames
    }
}
