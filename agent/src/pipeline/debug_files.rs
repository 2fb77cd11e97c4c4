//! Debug files from elsewhere: who is asked for them, and for which programs.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{CaptureSettings, Counters};
use crate::{
    aggregate::Location,
    process::{CodeAddress, FileIndex},
    symbol::{Settings, Symbol, Symbolizer, UnknownReason, debuginfod::Debuginfod},
};

/// Windows between two loads of a file's debug information: a minute at the default length.
const RELOAD_AFTER_WINDOWS: u8 = 6;
/// Debug information may take this part of the time: 0.2 % of a core.
const DEBUG_TIME_SHARE: u32 = 500;

/// Names from what is on this host, and from debuginfod if somebody is to be asked. Goes on without
/// it where it cannot be used.
pub(super) fn symbolizer(settings: &CaptureSettings, counters: &Counters) -> Symbolizer {
    let asked = settings.debuginfod.as_ref();
    let symbolizer = Symbolizer::new(Settings {
        // A recording is one window, and somebody waits for it: it gets all names at once.
        reload_after_windows: settings.window.map_or(0, |_| RELOAD_AFTER_WINDOWS),
        debug_time_per_window: settings.window.map(|window| window / DEBUG_TIME_SHARE),
        debuginfod_cache: asked.map(|asked| asked.cache.clone()),
        ..Settings::default()
    });
    let Some(asked) = asked else { return symbolizer };
    match Debuginfod::start(asked, counters.metrics.debuginfod.clone()) {
        Ok(debuginfod) => symbolizer.with_debuginfod(debuginfod),
        Err(error) => {
            tracing::warn!(%error, "debuginfod is not used");
            symbolizer
        }
    }
}

/// Samples of a window with an unnamed frame, by file.
#[derive(Debug, Default)]
pub(super) struct Unnamed {
    by_file: FxHashMap<FileIndex, u64>,
    samples: u64,
    /// Files of one stack, each of which counts once.
    in_stack: Vec<FileIndex>,
}

/// A file matters from this part of all samples on: one in a hundred.
const PART: u64 = 100;
/// Fewer samples are chance.
const MIN_SAMPLES: u64 = 3;

impl Unnamed {
    /// Counts `count` samples of a stack, as addresses and as what they are called.
    pub(super) fn add(&mut self, code: &[CodeAddress], named: &[Arc<Location>], count: u64) {
        self.samples += count;
        self.in_stack.clear();
        for (address, location) in code.iter().zip(named) {
            if let CodeAddress::File(file, _) = address
                && lacks_symbols(&location.symbol)
                && !self.in_stack.contains(file)
            {
                self.in_stack.push(*file);
                *self.by_file.entry(*file).or_default() += count;
            }
        }
    }

    /// The files that matter.
    pub(super) fn that_matter(&self) -> impl Iterator<Item = FileIndex> {
        let least = self.samples.div_ceil(PART).max(MIN_SAMPLES);
        self.by_file.iter().filter(move |(_, count)| **count >= least).map(|(file, _)| *file)
    }
}

/// Whether a debug file would help, and may be asked for (again).
const fn lacks_symbols(symbol: &Symbol) -> bool {
    matches!(
        symbol,
        Symbol::Unknown(
            UnknownReason::Stripped
                | UnknownReason::NotOnDebuginfod
                | UnknownReason::DebuginfodFailed
                | UnknownReason::DebugFileTooLarge
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol::{FileOffset, Svma};

    fn location(reason: UnknownReason) -> Arc<Location> {
        let symbol = Symbol::Unknown(reason);
        Arc::new(Location { binary: None, address: Svma(1), symbol })
    }

    fn add(unnamed: &mut Unnamed, files: &[u32], reason: UnknownReason, count: u64) {
        let code = |file: &u32| CodeAddress::File(FileIndex(*file), FileOffset(1));
        let code: Vec<_> = files.iter().map(code).collect();
        let named: Vec<_> = files.iter().map(|_| location(reason)).collect();
        unnamed.add(&code, &named, count);
    }

    fn that_matter(unnamed: &Unnamed) -> Vec<u32> {
        let mut files: Vec<u32> = unnamed.that_matter().map(|file| file.0).collect();
        files.sort_unstable();
        files
    }

    #[test]
    fn a_file_matters_from_one_in_a_hundred_samples_on() {
        let mut unnamed = Unnamed::default();
        add(&mut unnamed, &[1], UnknownReason::Stripped, 10);
        add(&mut unnamed, &[2, 2], UnknownReason::DebuginfodFailed, 9);
        add(&mut unnamed, &[3], UnknownReason::NotInSymbolTable, 500);
        add(&mut unnamed, &[4], UnknownReason::DebugFileOnItsWay, 481);
        assert_eq!(that_matter(&unnamed), [1], "of 1000 samples");
        add(&mut unnamed, &[1, 2], UnknownReason::Stripped, 2);
        assert_eq!(that_matter(&unnamed), [1, 2], "of 1002 samples");
    }

    #[test]
    fn a_single_sample_is_chance() {
        let mut unnamed = Unnamed::default();
        add(&mut unnamed, &[1], UnknownReason::Stripped, 2);
        assert!(that_matter(&unnamed).is_empty());
    }
}
