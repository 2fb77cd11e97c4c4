//! What it takes in the kernel to look up a row of a file's tables: as the unwinder does it, and by a
//! binary search in an array map. Both are run by `BPF_PROG_TEST_RUN` in this one process (as root), over
//! the same addresses, and must find the same rules.
#![expect(clippy::print_stdout, reason = "a bench's result is what it prints")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, EbpfLoader,
    maps::Array,
    programs::{SchedClassifier, TestRun as _, TestRunOptions},
};
use sonde_agent::symbol::elf::ElfFile;
use sonde_agent::unwind::{BuiltPage, build_all};
use sonde_ebpf::{limits::ARENA_ELEMENT_BYTES, unwind::DirectoryEntry};

static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sonde-ebpf-bench.bpf.o"));

/// Lookups in a run of a program, and runs that are averaged.
const LOOKUPS: f64 = 1000.0;
const RUNS: u32 = 1000;
const GENERATION: u32 = 1;

fn main() -> Result<()> {
    // `cargo test` runs benches too, without this flag; there it only has to compile.
    if !std::env::args().any(|word| word == "--bench") {
        return Ok(());
    }
    let path = binary()?;
    let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
    let pages: Vec<BuiltPage> = build_all(&ElfFile::open(file)?)?.collect();
    let (first, last) = pages.first().zip(pages.last()).context("the file has no text")?;
    let (text_start, text_end) = (first.svma, last.svma + sonde_ebpf::unwind::PAGE_TEXT_BYTES);
    let rows = rows(&pages)?;
    let arena = Arena::of(&pages)?;
    let mut ebpf = EbpfLoader::new()
        .override_global("TEXT_START", &text_start, true)
        .override_global("TEXT_BYTES", &(text_end - text_start), true)
        .map_max_entries("SORTED", u32::try_from(rows.len())?)
        .map_max_entries("ARENA", u32::try_from(arena.elements.len())?)
        .load(OBJECT)?;
    fill(&mut ebpf, "SORTED", &rows)?;
    array(&mut ebpf, "NUMBERS")?.set(1, rows.len() as u64, 0)?;
    fill(&mut ebpf, "ARENA", &arena.elements)?;
    for (element, entry) in arena.entries {
        array(&mut ebpf, "DIRECTORY")?.set(element, entry, 0)?;
    }
    print(&mut ebpf, &path, rows.len())
}

fn print(ebpf: &mut Ebpf, path: &Path, rows: usize) -> Result<()> {
    let (nothing, _) = run(ebpf, "bench_nothing")?;
    let (pages, found) = run(ebpf, "bench_pages")?;
    let (sorted, expected) = run(ebpf, "bench_sorted")?;
    ensure!(found == expected, "the two ways find other rules: {found:#x}, {expected:#x}");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    println!("a row of {name} ({rows} rows), looked up in the kernel at random addresses:");
    println!("| | ns |\n|---|---|");
    println!("| as the unwinder does | {:.0} |", pages - nothing);
    println!("| binary search in an array map | {:.0} |", sorted - nothing);
    println!(
        "ratio {:.2}; a round without a lookup takes {nothing:.1} ns",
        (pages - nothing) / (sorted - nothing)
    );
    Ok(())
}

/// Nanoseconds of a round of a program, and the sum of what it found from the first seed on.
fn run(ebpf: &mut Ebpf, name: &str) -> Result<(f64, u64)> {
    let program: &mut SchedClassifier =
        ebpf.program_mut(name).with_context(|| format!("no program {name}"))?.try_into()?;
    program.load()?;
    array(ebpf, "NUMBERS")?.set(0, 1_u64, 0)?;
    repeated(ebpf, name, 1)?;
    let found: u64 = array(ebpf, "NUMBERS")?.get(&0, 0)?;
    let duration = repeated(ebpf, name, RUNS)?;
    Ok((duration.as_secs_f64() * 1e9 / LOOKUPS, found))
}

/// How long a run takes, of so many.
fn repeated(ebpf: &mut Ebpf, name: &str, repeat: u32) -> Result<Duration> {
    let packet = [0; 64];
    let options = TestRunOptions { data_in: Some(&packet), repeat, ..TestRunOptions::new() };
    let program: &mut SchedClassifier =
        ebpf.program_mut(name).with_context(|| format!("no program {name}"))?.try_into()?;
    Ok(program.test_run(options)?.duration)
}

/// A large one, so that its rows do not fit into caches.
fn binary() -> Result<PathBuf> {
    let file = std::env::var_os("SONDE_BENCH_BINARIES");
    file.map(PathBuf::from).context("name a large binary in SONDE_BENCH_BINARIES")
}

#[repr(C)]
#[derive(Clone, Copy)]
struct SortedRow {
    svma: u32,
    rule: u32,
}

// SAFETY: `repr(C)`, two words without padding, and every bit pattern is a valid value.
unsafe impl aya::Pod for SortedRow {}

fn rows(pages: &[BuiltPage]) -> Result<Vec<SortedRow>> {
    let rules = pages.iter().flat_map(BuiltPage::rules);
    let row = |(svma, rule): (u64, sonde_ebpf::unwind::Rule)| {
        Ok(SortedRow { svma: u32::try_from(svma).context("text above 4 GiB")?, rule: rule.0 })
    };
    rules.map(row).collect()
}

/// All pages, as the agent lays them out: none crosses an element.
struct Arena {
    elements: Vec<[u8; ARENA_ELEMENT_BYTES]>,
    entries: Vec<(u32, DirectoryEntry)>,
}

impl Arena {
    fn of(pages: &[BuiltPage]) -> Result<Self> {
        let unit = DirectoryEntry::UNIT_BYTES;
        let mut arena = Self { elements: vec![[0; ARENA_ELEMENT_BYTES]], entries: Vec::new() };
        let mut at = 0;
        for page in pages {
            if at + page.bytes.len() > ARENA_ELEMENT_BYTES {
                arena.elements.push([0; ARENA_ELEMENT_BYTES]);
                at = 0;
            }
            let last = arena.elements.len() - 1;
            let element = &mut arena.elements[last];
            element[at..at + page.bytes.len()].copy_from_slice(&page.bytes);
            element[at..at + 4].copy_from_slice(&GENERATION.to_ne_bytes());
            let place = u32::try_from((last * ARENA_ELEMENT_BYTES + at) / unit + 1)?;
            let number = u32::try_from(page.svma >> 16)?;
            arena.entries.push((number, DirectoryEntry { place, generation: GENERATION }));
            at += page.bytes.len().next_multiple_of(unit);
        }
        Ok(arena)
    }
}

fn array<'a, T: aya::Pod>(
    ebpf: &'a mut Ebpf,
    name: &str,
) -> Result<Array<&'a mut aya::maps::MapData, T>> {
    Ok(ebpf.map_mut(name).with_context(|| format!("no map {name}"))?.try_into()?)
}

fn fill<T: aya::Pod>(ebpf: &mut Ebpf, name: &str, values: &[T]) -> Result<()> {
    let mut array = array::<T>(ebpf, name)?;
    for (index, value) in (0..).zip(values) {
        array.set(index, value, 0)?;
    }
    Ok(())
}
