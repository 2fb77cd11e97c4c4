//! What it costs to learn the executable regions of a process: by queries, and from the text. For
//! this bench as it is, with 10,000 more regions without code, and with 10,000 more of code.
#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has failed")]

use std::{fs::File, io, os::fd::AsRawFd as _, path::Path, ptr::null_mut};

use criterion::{Criterion, criterion_group, criterion_main};
use sonde_agent::{
    kernel::{ProcMap, is_unknown},
    process::maps::{as_text, by_queries},
};

const MORE: usize = 10_000;
const OWN: &str = "/proc/self/maps";

/// Maps the first page of this bench's own file so many times: each begins at the file's first byte,
/// so the kernel cannot join neighbours.
fn map(protection: i32) {
    let file = File::open(std::env::current_exe().unwrap()).unwrap();
    for _ in 0..MORE {
        let fd = file.as_raw_fd();
        // SAFETY: a new mapping at an address of the kernel's choice, that nobody reads.
        let at = unsafe { libc::mmap(null_mut(), 4096, protection, libc::MAP_PRIVATE, fd, 0) };
        assert!(at != libc::MAP_FAILED, "{}", io::Error::last_os_error());
    }
}

fn compare(criterion: &mut Criterion, what: &str, least: usize) {
    let mut group = criterion.benchmark_group(format!("maps/{what}"));
    group.sample_size(20);
    let path = Path::new(OWN);
    assert!(as_text(path).unwrap().len() > least);
    group.bench_function("text", |bencher| bencher.iter(|| as_text(path).unwrap()));
    match by_queries(path) {
        Err(error) if is_unknown(&error) => return,
        regions => assert!(regions.unwrap().len() > least),
    }
    group.bench_function("queries", |bencher| bencher.iter(|| by_queries(path).unwrap()));
    let here = as_text(path).unwrap()[0].start;
    group.bench_function("one address", |bencher| {
        bencher.iter(|| ProcMap::open(path).unwrap().around(here).unwrap().unwrap());
    });
    group.finish();
}

fn regions(criterion: &mut Criterion) {
    compare(criterion, "few", 2);
    map(libc::PROT_READ);
    compare(criterion, "many without code", 2);
    map(libc::PROT_READ | libc::PROT_EXEC);
    compare(criterion, "many with code", MORE);
}

criterion_group!(benches, regions);
criterion_main!(benches);
