//! What survives a kill: acknowledged pushes, exactly once; and nothing of the agent in the kernel.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use sonde_tests::collector::Collector;
use sonde_tests::push::{now_ns, profile, send, service_body};
use sonde_tests::workload::{Workload, program};
use sonde_tests::{Agent, bpf, wait_until};
use tempfile::TempDir;

const VALUE: i64 = 1_000_000;

/// Pushes profiles with consecutive numbers until told to stop; returns the acknowledged numbers and
/// the one that was under way when the collector went.
fn push_until(
    stop: &AtomicBool,
    port: u16,
    next: &AtomicU64,
    acked: &Mutex<Vec<u64>>,
) -> Option<u64> {
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let body = service_body("crash", &profile(&format!("f{number}"), VALUE, now_ns())).unwrap();
        match send(port, &body) {
            Ok(answer) if answer.status == 200 => acked.lock().unwrap().push(number),
            _ => return Some(number),
        }
    }
    None
}

#[test]
fn an_acknowledged_push_survives_a_kill_and_is_there_once() {
    let folder = TempDir::new().unwrap();
    let (next, acked) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    for round in 0..4_u64 {
        let mut collector = Collector::start(folder.path()).unwrap();
        let (stop, port) = (AtomicBool::new(false), collector.port);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| push_until(&stop, port, &next, &acked));
            }
            // Another moment each round: early, in full flow, late.
            thread::sleep(Duration::from_millis(300 + 400 * round));
            collector.process.crash().unwrap();
            stop.store(true, Ordering::Relaxed);
        });
    }
    let collector = Collector::start(folder.path()).unwrap();
    let acked = acked.into_inner().unwrap();
    assert!(acked.len() > 20, "only {} pushes were acknowledged", acked.len());
    for number in &acked {
        let found = stored(&collector, *number);
        assert_eq!(found, VALUE, "push {number}: {found} stored, {VALUE} acknowledged");
    }
    // What was under way may be there or not, but never twice: the sum tells.
    let all = next.load(Ordering::Relaxed);
    let total = collector.service("crash").unwrap().total_ns;
    let least = VALUE * i64::try_from(acked.len()).unwrap();
    assert!((least..=VALUE * i64::try_from(all).unwrap()).contains(&total), "{total}");
}

fn stored(collector: &Collector, number: u64) -> i64 {
    let path = format!(
        "/api/v1/profile/top?from=now-1h&limit=10&q=%2F%5Ef{number}%24%2F&selector={}",
        sonde_tests::http::escaped("{service_name=\"crash\"}")
    );
    let answer = sonde_tests::http::get(collector.port, &path).unwrap().json().unwrap();
    answer["rows"][0]["self"].as_i64().unwrap_or(0)
}

#[test]
fn the_same_push_sent_again_is_stored_once_even_after_a_crash() {
    let folder = TempDir::new().unwrap();
    let body = service_body("again", &profile("f", VALUE, now_ns())).unwrap();
    let mut collector = Collector::start(folder.path()).unwrap();
    assert_eq!(send(collector.port, &body).unwrap().status, 200);
    assert_eq!(send(collector.port, &body).unwrap().status, 200);
    collector.process.crash().unwrap();
    let collector = Collector::start(folder.path()).unwrap();
    assert_eq!(send(collector.port, &body).unwrap().status, 200);
    assert_eq!(collector.service("again").unwrap().total_ns, VALUE);
}

#[test]
fn a_killed_agent_leaves_nothing_in_the_kernel() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path()).unwrap();
    let before = bpf::programs();
    let mut agent = Agent::start(&collector, folder.path()).unwrap();
    let loaded = &bpf::programs() - &before;
    assert!(!loaded.is_empty(), "the agent loaded no program");
    assert!(bpf::perf_events(agent.process.id()) > 0, "the agent opened no perf event");
    agent.process.crash().unwrap();
    let gone = || bpf::programs().intersection(&loaded).next().is_none();
    wait_until("the programs' end", Duration::from_secs(10), gone).unwrap();
    Agent::start(&collector, folder.path()).expect("it starts again after a crash");
}

/// The workload ends inside the first window: only a flush can bring it to the collector.
fn flushes_on(signal: i32) {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path()).unwrap();
    let port = sonde_tests::free_port().unwrap();
    let mut command = Command::new(sonde_tests::binary("SONDE_AGENT_BIN").unwrap());
    command.args(["run", "--window", "60s", "--listen", &format!("127.0.0.1:{port}")]);
    command.args(["--collector", &collector.url()]);
    let log = folder.path().join("agent.log");
    let mut agent = sonde_tests::process::Process::start(command, &log).unwrap();
    let healthy =
        || sonde_tests::http::get(port, "/healthz").is_ok_and(|answer| answer.status == 200);
    wait_until("the agent", Duration::from_secs(20), healthy).unwrap();
    let mut work = Command::new(program("shares").unwrap());
    work.arg("4");
    let used = Workload::start("shares", work, folder.path()).unwrap().finish().unwrap();
    let status = agent.stop(signal).unwrap();
    assert!(status.success(), "{status}: {}", agent.output());
    let found = collector.service("shares").unwrap().seconds();
    let error = used.error(found);
    assert!(error.abs() <= used.tolerance().max(5.0), "{found:.2} s of {used:?} were flushed");
}

#[test]
fn what_was_taken_is_flushed_on_sigterm() {
    flushes_on(libc::SIGTERM);
}

#[test]
fn what_was_taken_is_flushed_on_ctrl_c() {
    flushes_on(libc::SIGINT);
}
