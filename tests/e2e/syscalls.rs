//! System calls are counted as often as strace counts them, and sleeps in them are as long as they were
//! made to be.
#![expect(clippy::print_stdout, reason = "figures are part of what a run shows")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sonde_tests::process::Process;
use sonde_tests::workload::program;
use sonde_tests::{binary, free_port, http, wait_until};
use tempfile::TempDir;

const WAITS: &str = "process_syscall_wait_duration_seconds";
const CALLS: &str = "process_syscall_duration_seconds";

/// An agent that times system calls and pushes its profiles to nobody.
struct Timing {
    port: u16,
    agent: Process,
    folder: TempDir,
}

impl Timing {
    fn start(mode: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port().unwrap();
        let mut command = Command::new(binary("SONDE_AGENT_BIN").unwrap());
        command.args(["run", "--window", "2s", "--syscalls", mode]);
        command.args(["--collector", "http://127.0.0.1:9"]);
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        let agent = Process::start(command, &folder.path().join("agent.log")).unwrap();
        let timing = Self { port, agent, folder };
        let healthy = || http::get(port, "/healthz").is_ok_and(|answer| answer.status == 200);
        wait_until("the agent", Duration::from_secs(20), healthy).unwrap();
        timing
    }

    fn workload(&self, mode: &[&str]) -> Command {
        let mut command = Command::new(program("calls").unwrap());
        command.args(mode).current_dir(self.folder.path()).env_remove("LD_LIBRARY_PATH");
        command
    }

    fn run(&self, name: &str, command: Command) -> Process {
        Process::start(command, &self.folder.path().join(name)).unwrap()
    }

    fn metrics(&self) -> Metrics {
        Metrics(http::get(self.port, "/metrics").unwrap().text())
    }

    /// The metrics of the next window but one: all that has happened by now is in them.
    fn settled(&self) -> Metrics {
        let closed = || self.metrics().sum("sonde_agent_windows_closed_total", &[]);
        let before = closed();
        wait_until("two windows", Duration::from_secs(15), || closed() >= before + 2.0).unwrap();
        self.metrics()
    }
}

struct Metrics(String);

impl Metrics {
    /// The sum of the lines of `name` that hold all of `labels`.
    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let lines = self.0.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let wanted = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
        wanted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    fn waits(&self, what: &str, call: &str) -> f64 {
        let call = format!("syscall_name=\"{call}\"");
        self.sum(&format!("{WAITS}_{what}"), &["service_name=\"calls\"", &call])
    }

    /// Sleeps in `call` that took no longer than `seconds`.
    fn waits_up_to(&self, call: &str, seconds: f64) -> f64 {
        let labels = [format!("syscall_name=\"{call}\""), format!("le=\"{seconds}\"")];
        let labels = ["service_name=\"calls\"", &*labels[0], &*labels[1]];
        self.sum(&format!("{WAITS}_bucket"), &labels)
    }

    /// How often each call was made by service `calls`, and with an error.
    fn calls(&self) -> BTreeMap<String, (u64, u64)> {
        let mut calls = BTreeMap::<String, (u64, u64)>::new();
        let head = format!("{CALLS}_count{{service_name=\"calls\",syscall_name=\"");
        for line in self.0.lines() {
            let Some((name, rest)) = line.strip_prefix(&head).and_then(|rest| rest.split_once('"'))
            else {
                continue;
            };
            let count: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            let (all, errors) = calls.entry(name.to_owned()).or_default();
            *all += count;
            *errors += if rest.contains("error_type") { count } else { 0 };
        }
        calls
    }
}

/// Planted sleeps: call, how often, and the seconds that they took together at least.
const PLANTED: [(&str, usize, f64); 4] =
    [("read", 20, 0.38), ("accept", 10, 0.28), ("futex", 10, 0.5), ("clock_nanosleep", 30, 0.15)];

/// So many sleeps may be missing or too many: who had no CPU just before its call finds what it would
/// have waited for, and who is woken for nothing sleeps again.
const STRAY: f64 = 2.0;

/// Ends of buckets, in seconds.
fn bounds() -> impl Iterator<Item = f64> {
    (10..35).map(|power| f64::from(2_u32.pow(power - 9)) * 512e-9)
}

/// A sleep is no longer than the call that it is in, by the workload's own clock, and not so much
/// shorter that it would not be in the same bucket or in the one before it.
fn same_buckets(call: &str, took: &[f64], metrics: &Metrics) {
    let calls_up_to = |end: f64| took.iter().filter(|seconds| **seconds <= end).count() as f64;
    for end in bounds() {
        let seen = metrics.waits_up_to(call, end);
        assert!(seen + STRAY >= calls_up_to(end), "{call}: {seen} up to {end} s of {took:?}");
        let most = calls_up_to(2.0 * end) + STRAY;
        assert!(seen <= most, "{call}: {seen} up to {end} s, not {most}, of {took:?}");
    }
}

#[test]
fn sleeps_in_calls_are_as_many_and_as_long_as_they_were_made() {
    let timing = Timing::start("waits");
    let mut workload = timing.run("waits", timing.workload(&["waits"]));
    assert!(workload.wait(Duration::from_secs(20)).unwrap().success());
    let said = workload.output();
    let metrics = timing.settled();
    for (call, count, at_least) in PLANTED {
        let line = said.lines().find_map(|line| line.strip_prefix(call)).unwrap();
        let took: Vec<f64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let seconds: f64 = took.iter().sum();
        let seen = (metrics.waits("count", call), metrics.waits("sum", call));
        println!("{call}: {count} in {seconds:.6} s, seen {} in {:.6} s", seen.0, seen.1);
        assert_eq!(took.len(), count);
        assert!(seconds >= at_least, "{call}: {seconds} s are less than planted");
        assert!((seen.0 - count as f64).abs() <= STRAY, "{call}: {} sleeps", seen.0);
        assert!((seen.1 / seconds - 1.0).abs() < 0.05, "{call}: {} of {seconds} s", seen.1);
        same_buckets(call, &took, &metrics);
    }
    let fsync = (metrics.waits("count", "fsync"), metrics.waits("sum", "fsync"));
    println!("fsync: {} sleeps in {:.6} s", fsync.0, fsync.1);
    assert_eq!(metrics.waits("count", "getppid"), 0.0, "it never sleeps");
    assert_eq!(metrics.sum(&format!("{CALLS}_count"), &[]), 0.0, "whole calls are not asked for");
}

/// Calls and errors by `strace -c`. It does not count what it has no name for.
fn by_strace(folder: &Path) -> BTreeMap<String, (u64, u64)> {
    let out = folder.join("strace");
    let mut strace = Command::new("strace");
    strace.args(["-c", "-f", "-o"]).arg(&out).arg(program("calls").unwrap()).arg("work");
    // What cargo sets for tests would make the loader look in more places.
    strace.env_remove("LD_LIBRARY_PATH");
    let run = strace.current_dir(folder).output().expect("strace is installed");
    assert!(run.status.success(), "{run:?}");
    let table = std::fs::read_to_string(out).unwrap();
    let rows = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (calls, errors, name) = match words[..] {
            [_, _, _, calls, name] => (calls, "0", name),
            [_, _, _, calls, errors, name] => (calls, errors, name),
            _ => return None,
        };
        let row = (calls.parse().ok()?, errors.parse().ok()?);
        (name != "total").then(|| (name.to_owned(), row))
    });
    rows.collect()
}

#[test]
fn every_call_is_counted_as_often_as_strace_counts_it() {
    let timing = Timing::start("always");
    let mut launch = timing.workload(&["launch"]);
    launch.env("OTEL_SERVICE_NAME", "launcher");
    let launched = timing.run("launch", launch);
    let ended = || launched.output().contains("ended with 0");
    wait_until("the workload", Duration::from_secs(20), ended).unwrap();
    let metrics = timing.settled();
    let mut seen = metrics.calls();
    println!("seen: {seen:?}");
    assert_eq!(seen.remove("unknown"), Some((3, 3)), "number 5000");
    assert_eq!(seen, by_strace(timing.folder.path()));
    for (call, error, count) in [
        ("openat", "ENOENT", 7.0),
        ("read", "EAGAIN", 5.0),
        ("read", "ERESTARTSYS", 1.0),
        ("nanosleep", "ERESTART_RESTARTBLOCK", 2.0),
        ("unknown", "ENOSYS", 3.0),
    ] {
        let labels = [format!("syscall_name=\"{call}\""), format!("error_type=\"{error}\"")];
        let labels = ["service_name=\"calls\"", &*labels[0], &*labels[1]];
        assert_eq!(metrics.sum(&format!("{CALLS}_count"), &labels), count, "{call}: {error}");
    }
    for reason in ["syscall_table_full", "syscall_place_taken"] {
        let reason = format!("reason=\"{reason}\"");
        assert_eq!(metrics.sum("sonde_agent_process_facts_dropped_total", &[&reason]), 0.0);
    }
}

/// Getppid calls a second. One burst stands for one period.
const RATE: u32 = 5000;
const PERIOD: Duration = Duration::from_secs(20);

#[test]
fn bursts_scaled_up_tell_a_steady_rate_within_a_fifth() {
    let timing = Timing::start("sampled");
    let bursts = || timing.metrics().sum("sonde_agent_syscall_bursts_total", &[]);
    let before = bursts();
    let started = Instant::now();
    let rate = RATE.to_string();
    let mut workload = timing.workload(&["rate", &rate, "70"]);
    workload.env("OTEL_SERVICE_NAME", "calls");
    let _workload = timing.run("rate", workload);
    let patience = 3 * PERIOD;
    wait_until("two bursts", patience, || bursts() >= before + 2.0).unwrap();
    let metrics = timing.metrics();
    let labels = ["service_name=\"calls\"", "syscall_name=\"getppid\""];
    let seen = metrics.sum(&format!("{CALLS}_count"), &labels);
    let factor = metrics.sum("sonde_agent_syscall_sampling_factor", &[]);
    let made = f64::from(RATE) * 2.0 * PERIOD.as_secs_f64();
    println!("{seen} of {made} after {:?}; factor {factor}", started.elapsed());
    assert!((seen / made - 1.0).abs() < 0.2, "{seen} of {made}");
    assert!((15.0..=400.0).contains(&factor), "one second in twenty, or less: {factor}");
    assert!(metrics.waits("count", "nanosleep") > 1000.0, "sleeps are seen between bursts too");
    drop(timing.agent);
}
