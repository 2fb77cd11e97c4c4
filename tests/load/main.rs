//! Loads a collector over HTTP as many agents would, and prints rate, latencies and bytes on disk.
#![expect(clippy::print_stdout, reason = "a bench's result is what it prints")]

mod service;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use sonde_tests::collector::Collector;
use sonde_tests::push::send;
use tempfile::TempDir;

use service::STACKS;

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
    let memory = (collector.process.resident_kb(), collector.process.peak_kb());
    let data = folder.path().join("data");
    let log_bytes = bytes_below(&data);
    collector.process.stop(libc::SIGTERM)?;
    print(&latencies, took, memory, log_bytes, bytes_below(&data));
    Ok(())
}

fn client(port: u16, next: &AtomicU64, until: Instant) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    while Instant::now() < until {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let push = service::push(number % SERVICES, number / SERVICES)?;
        let sent = Instant::now();
        let answer = send(port, &push)?;
        anyhow::ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
        latencies.push(sent.elapsed());
    }
    Ok(latencies)
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
fn print(
    latencies: &[Duration],
    took: f64,
    (end_kb, peak_kb): (u64, u64),
    log_bytes: u64,
    final_bytes: u64,
) {
    let count = latencies.len();
    let at = |per_cent: usize| {
        latencies.get((count * per_cent / 100).min(count.saturating_sub(1))).copied()
    };
    let samples = (count * STACKS).max(1) as f64;
    let ms = |per_cent| or_zero(at(per_cent)).as_secs_f64() * 1e3;
    println!("| {SERVICES} services, {CLIENTS} clients, {STACKS} stacks each | measured | goal |");
    println!("|---|---|---|");
    println!("| profiles acknowledged, each durable | {:.0} /s | 3,000 /s |", count as f64 / took);
    println!("| acknowledgement, p50 / p99 | {:.1} / {:.1} ms | p99 50 ms |", ms(50), ms(99));
    println!(
        "| bytes per sample on disk under load / after a clean stop | {:.1} / {:.1} | 10 / 4 |",
        log_bytes as f64 / samples,
        final_bytes as f64 / samples
    );
    println!(
        "| memory at the end of the load / peak | {} / {} MiB | 500 MB |",
        end_kb / 1024,
        peak_kb / 1024
    );
}

fn or_zero(latency: Option<Duration>) -> Duration {
    latency.unwrap_or_default()
}
