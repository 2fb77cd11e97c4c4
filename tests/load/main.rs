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
const CLIENTS: u32 = 8;
const WINDOW: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    // `cargo test` runs benches too, without this flag; there it only has to compile.
    if !std::env::args().any(|word| word == "--bench") {
        return Ok(());
    }
    // What the budgets were set for, then what programs do.
    load("20,000 stacks", 100, true)?;
    load("ever new stacks", u64::MAX, false)
}

/// Loads a new collector with services of at most so many stacks each.
fn load(what: &str, stacks: u64, has_goals: bool) -> Result<()> {
    let folder = TempDir::new()?;
    let mut collector = Collector::start(folder.path())?;
    let port = collector.port;
    let next = AtomicU64::new(0);
    let until = Instant::now() + WINDOW;
    let started = Instant::now();
    let clients: Result<Vec<(Duration, Vec<Duration>)>> = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| client(port, &next, until, stacks))).collect();
        clients.into_iter().map(|c| c.join().unwrap_or_else(|_| anyhow::bail!("panic"))).collect()
    });
    let took = started.elapsed();
    let (made, latencies): (Vec<Duration>, Vec<Vec<Duration>>) = clients?.into_iter().unzip();
    let making =
        made.iter().sum::<Duration>().as_secs_f64() / (took.as_secs_f64() * f64::from(CLIENTS));
    let mut latencies: Vec<Duration> = latencies.into_iter().flatten().collect();
    latencies.sort_unstable();
    let memory = (collector.process.resident_kb(), collector.process.peak_kb());
    let data = folder.path().join("data");
    let log_bytes = bytes_below(&data);
    collector.process.stop(libc::SIGTERM)?;
    let goal = |goal| if has_goals { goal } else { "" };
    println!(
        "\n| {SERVICES} services, {what}, {CLIENTS} clients, {STACKS} a profile | measured | {} |",
        goal("goal")
    );
    println!("|---|---|---|");
    for (what, measured, wanted) in
        rows(&latencies, took.as_secs_f64(), memory, log_bytes, bytes_below(&data))
    {
        println!("| {what} | {measured} | {} |", goal(wanted));
    }
    println!("| of the clients' time, making profiles | {:.0} % | |", 100.0 * making);
    Ok(())
}

fn client(
    port: u16,
    next: &AtomicU64,
    until: Instant,
    stacks: u64,
) -> Result<(Duration, Vec<Duration>)> {
    let (mut made, mut latencies) = (Duration::ZERO, Vec::new());
    while Instant::now() < until {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let push = service::push(number % SERVICES, number / SERVICES, stacks)?;
        let sent = Instant::now();
        made += sent - began;
        let answer = send(port, &push)?;
        anyhow::ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
        latencies.push(sent.elapsed());
    }
    Ok((made, latencies))
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

/// What was measured, each with its goal.
#[expect(clippy::cast_precision_loss, reason = "a rate is printed with two digits")]
fn rows(
    latencies: &[Duration],
    took: f64,
    (end_kb, peak_kb): (u64, u64),
    log_bytes: u64,
    final_bytes: u64,
) -> [(&'static str, String, &'static str); 4] {
    let count = latencies.len();
    let at = |per_cent: usize| {
        latencies.get((count * per_cent / 100).min(count.saturating_sub(1))).copied()
    };
    let samples = (count * STACKS).max(1) as f64;
    let ms = |per_cent| or_zero(at(per_cent)).as_secs_f64() * 1e3;
    let per_sample = |bytes: u64| bytes as f64 / samples;
    [
        (
            "profiles acknowledged, each durable",
            format!("{:.0} /s", count as f64 / took),
            "3,000 /s",
        ),
        ("acknowledgement, p50 / p99", format!("{:.1} / {:.1} ms", ms(50), ms(99)), "p99 50 ms"),
        (
            "bytes per sample on disk under load / after a clean stop",
            format!("{:.1} / {:.1}", per_sample(log_bytes), per_sample(final_bytes)),
            "10 / 4",
        ),
        (
            "memory at the end of the load / peak",
            format!("{} / {} MiB", end_kb / 1024, peak_kb / 1024),
            "500 MB",
        ),
    ]
}

fn or_zero(latency: Option<Duration>) -> Duration {
    latency.unwrap_or_default()
}
