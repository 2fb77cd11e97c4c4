//! What a name costs: the first one of a binary that was never seen, and one that is remembered.
//! Binaries are this bench itself, which has debug information, and those named in
//! `SONDE_BENCH_BINARIES`, separated by colons.
#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has failed")]

use std::fs::File;
use std::path::{Path, PathBuf};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};
use sonde_agent::symbol::{FileId, FileOffset, Settings, Symbol, Symbolizer};

/// Addresses looked up in each binary.
const ADDRESSES: usize = 1_000;

fn binaries() -> Vec<PathBuf> {
    let more = std::env::var("SONDE_BENCH_BINARIES").unwrap_or_default();
    let more = more.split(':').filter(|path| !path.is_empty()).map(PathBuf::from);
    std::iter::once(std::env::current_exe().unwrap()).chain(more).collect()
}

/// Starts of functions, spread over the whole file.
fn offsets(path: &Path) -> Vec<FileOffset> {
    let bytes = std::fs::read(path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let segments: Vec<_> =
        file.segments().map(|s| (s.address(), s.size(), s.file_range().0)).collect();
    let functions: Vec<u64> = file
        .symbols()
        .chain(file.dynamic_symbols())
        .filter(|s| s.kind() == SymbolKind::Text && s.is_definition() && s.size() > 0)
        .map(|s| s.address())
        .collect();
    let step = (functions.len() / ADDRESSES).max(1);
    let offset = |&address: &u64| {
        let (start, _, offset) =
            segments.iter().find(|(start, size, _)| (*start..start + size).contains(&address))?;
        Some(FileOffset(address - start + offset))
    };
    functions.iter().step_by(step).filter_map(offset).collect()
}

fn open(path: &Path) -> (Symbolizer, FileId) {
    let mut symbolizer = Symbolizer::new(Settings::default());
    let id = symbolizer.register(path.to_str().unwrap().into(), File::open(path).unwrap());
    (symbolizer, id)
}

fn known(symbolizer: &mut Symbolizer, id: FileId, offset: FileOffset) {
    assert!(matches!(symbolizer.symbolize(id, offset).1, Symbol::Known(_)), "{offset:?}");
}

fn symbolize(criterion: &mut Criterion) {
    for path in binaries() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let offsets = offsets(&path);
        let mut group = criterion.benchmark_group(format!("symbolize/{name}"));
        group.sample_size(10);
        group.bench_function("open and first name", |bencher| {
            bencher.iter(|| {
                let (mut symbolizer, id) = open(&path);
                known(&mut symbolizer, id, offsets[0]);
            });
        });
        group.throughput(Throughput::Elements(offsets.len() as u64));
        group.bench_function("names never asked for", |bencher| {
            bencher.iter_batched(
                || open(&path),
                |(mut symbolizer, id)| {
                    offsets.iter().for_each(|&offset| known(&mut symbolizer, id, offset));
                },
                BatchSize::PerIteration,
            );
        });
        let (mut symbolizer, id) = open(&path);
        group.bench_function("names remembered", |bencher| {
            bencher.iter(|| {
                offsets.iter().for_each(|&offset| known(&mut symbolizer, id, offset));
            });
        });
        group.finish();
    }
}

criterion_group!(benches, symbolize);
criterion_main!(benches);
