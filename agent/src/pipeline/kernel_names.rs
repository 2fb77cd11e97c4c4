//! Names of kernel functions, read when first needed and again when modules have come.

use std::{
    fs::File,
    io::BufReader,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::symbol::{
    Symbol, UnknownReason,
    kallsyms::{KernelAddress, KernelSymbol, KernelSymbols},
};

/// How long an address without a name does not cause another reading.
const AGAIN: Duration = Duration::from_secs(60);

/// The kernel's symbol table, if it was needed yet.
#[derive(Default)]
pub(super) struct KernelNames {
    symbols: Option<KernelSymbols>,
    read: Option<Instant>,
}

impl KernelNames {
    pub(super) fn name(&mut self, address: KernelAddress) -> KernelSymbol {
        let covered = self.symbols.as_ref().is_some_and(|symbols| symbols.covers(address));
        if !covered && self.read.is_none_or(|read| read.elapsed() > AGAIN) {
            self.read = Some(Instant::now());
            self.symbols = read().or_else(|| self.symbols.take());
        }
        self.symbols.as_ref().map_or_else(hidden, |symbols| symbols.symbolize(address))
    }
}

fn read() -> Option<KernelSymbols> {
    let path = "/proc/kallsyms";
    let symbols = File::open(path).and_then(|file| KernelSymbols::parse(BufReader::new(file)));
    symbols.inspect_err(|error| tracing::warn!(%error, path, "no names for kernel functions")).ok()
}

fn hidden() -> KernelSymbol {
    let binary: Arc<str> = "[kernel]".into();
    KernelSymbol { binary, symbol: Symbol::Unknown(UnknownReason::KernelSymbolsHidden) }
}
