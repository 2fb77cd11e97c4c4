//! Loads a collector over HTTP as many agents would, and prints rate, latencies and bytes on disk.
#![expect(clippy::print_stdout, reason = "a bench's result is what it prints")]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use prost::Message as _;
use sonde_tests::collector::Collector;
use sonde_tests::pprof::{Function, Line, Location, Profile, Sample};
use sonde_tests::push::{body, gzipped, now_ns, profile, send};
use tempfile::TempDir;

const STACKS: u64 = 66;
const DEPTH: u64 = 30;
const SERVICES: u64 = 200;
const CLIENTS: u64 = 8;
const WINDOW: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    // `cargo test` runs benches too, without this flag; there it only has to compile.
    if !std::env::args().any(|word| word == "--bench") {
        return Ok(());
    }
    let folder = TempDir::new()?;
    let mut collector = Collector::start(folder.path())?;
    let port = collector.port;
    let next = AtomicU64::new(0);
    let until = Instant::now() + WINDOW;
    let started = Instant::now();
    let latencies: Result<Vec<Vec<Duration>>> = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| client(port, &next, until))).collect();
        clients.into_iter().map(|c| c.join().unwrap_or_else(|_| anyhow::bail!("panic"))).collect()
    });
    let took = started.elapsed().as_secs_f64();
    let mut latencies: Vec<Duration> = latencies?.into_iter().flatten().collect();
    latencies.sort_unstable();
    let peak_kb = collector.process.resident_kb();
    let data = folder.path().join("data");
    let log_bytes = bytes_below(&data);
    collector.process.stop(libc::SIGTERM)?;
    print(&latencies, took, peak_kb, log_bytes, bytes_below(&data));
    Ok(())
}

fn client(port: u16, next: &AtomicU64, until: Instant) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    while Instant::now() < until {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let push = push(number)?;
        let sent = Instant::now();
        let answer = send(port, &push)?;
        anyhow::ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
        latencies.push(sent.elapsed());
    }
    Ok(latencies)
}

/// The profile of one service's window: its stacks are the same each time, their values are not.
fn push(number: u64) -> Result<Vec<u8>> {
    let service = number % SERVICES;
    let mut pushed = profile("leaf", 0, now_ns());
    let functions = STACKS + DEPTH;
    pushed.string_table.truncate(3);
    pushed.function.clear();
    pushed.location.clear();
    for id in 1..=functions {
        let name = i64::try_from(pushed.string_table.len())?;
        pushed.string_table.push(format!("service_{service}::module::function_{id}"));
        pushed.function.push(Function { id, name, filename: 0 });
        let line = vec![Line { function_id: id, line: 10 }];
        pushed.location.push(Location { id, mapping_id: 0, address: 0, line });
    }
    pushed.sample = (1..=STACKS).map(|stack| sample(stack, number)).collect();
    let name = format!("service-{service}");
    let labels = [("__name__", "process_cpu"), ("service_name", name.as_str()), ("host", "bench")];
    Ok(body(&labels, packed(&pushed)?))
}

fn sample(stack: u64, number: u64) -> Sample {
    let count = 1 + (stack * 7 + number * 13) % 40;
    let value = i64::try_from(count * 10_309_278).unwrap_or(1);
    let shared = (1..=DEPTH - stack % 8).map(|depth| STACKS + depth);
    Sample { location_id: std::iter::once(stack).chain(shared).collect(), value: vec![value] }
}

fn packed(profile: &Profile) -> Result<Vec<u8>> {
    gzipped(&profile.encode_to_vec())
}

fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[expect(clippy::cast_precision_loss, reason = "a rate is printed with two digits")]
fn print(latencies: &[Duration], took: f64, peak_kb: u64, log_bytes: u64, final_bytes: u64) {
    let count = latencies.len();
    let at = |per_cent: usize| {
        latencies.get((count * per_cent / 100).min(count.saturating_sub(1))).copied()
    };
    let samples = (count as u64 * STACKS).max(1) as f64;
    println!("| {SERVICES} services, {CLIENTS} clients on this machine, {STACKS} stacks each | |");
    println!("|---|---|");
    println!("| profiles/s acknowledged | {:.0} |", count as f64 / took);
    println!("| acknowledgement p50 / p99 | {:.1?} / {:.1?} |", or_zero(at(50)), or_zero(at(99)));
    println!("| bytes per sample, log and files, under load | {:.1} |", log_bytes as f64 / samples);
    println!("| bytes per sample after a clean stop | {:.1} |", final_bytes as f64 / samples);
    println!("| resident memory at the end of the load | {} MiB |", peak_kb / 1024);
}

fn or_zero(latency: Option<Duration>) -> Duration {
    latency.unwrap_or_default()
}
