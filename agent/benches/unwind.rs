//! How fast unwind tables are built, and how large they are: those of this bench itself, of the C
//! library, and of the files in `SONDE_BENCH_BINARIES`, separated by colons.
#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has failed")]

use std::fs::File;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sonde_agent::{symbol::elf::ElfFile, unwind::measure};

fn binaries() -> Vec<PathBuf> {
    let more = std::env::var("SONDE_BENCH_BINARIES").unwrap_or_default();
    let more = more.split(':').filter(|path| !path.is_empty()).map(PathBuf::from);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps.lines().find(|line| line.contains("/libc.so")).unwrap();
    let libc = libc.split_whitespace().nth(5).unwrap().into();
    [std::env::current_exe().unwrap(), libc].into_iter().chain(more).collect()
}

fn open(path: &Path) -> ElfFile {
    ElfFile::open(File::open(path).unwrap()).unwrap()
}

#[expect(clippy::print_stdout, reason = "sizes are a result")]
fn build(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("unwind/build");
    group.sample_size(10);
    for path in binaries() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let size = measure(&open(&path)).unwrap();
        println!(
            "{name}: {} rows of {} pages in {} KiB: {:.2} bytes a row",
            size.rows,
            size.pages,
            size.bytes >> 10,
            size.bytes as f64 / size.rows as f64
        );
        group.throughput(Throughput::Elements(size.rows));
        // Opening included: nothing is known of the file before.
        group.bench_function(&name, |bencher| bencher.iter(|| measure(&open(&path)).unwrap()));
    }
    group.finish();
}

criterion_group!(benches, build);
criterion_main!(benches);
