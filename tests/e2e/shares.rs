//! Known shares of CPU come out as they are: by name, in kernel and user space, and in sum.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use sonde_tests::collector::{Collector, Top};
use sonde_tests::workload::{Used, Workload, program, source};
use sonde_tests::{Agent, wait_until};
use tempfile::TempDir;

const SECONDS: &str = "30";

/// Runs these workloads at once under a fresh agent and collector; returns what the collector has
/// of each after the agent's flush, and the CPU time each says it used.
fn profiled(commands: Vec<(&str, Command)>) -> Result<(Collector, Vec<(Top, Used)>)> {
    let folder = TempDir::new()?;
    let collector = Collector::start(folder.path())?;
    let mut agent = Agent::start(&collector, folder.path())?;
    let names: Vec<String> = commands.iter().map(|(name, _)| (*name).to_owned()).collect();
    let started: Result<Vec<Workload>> =
        commands.into_iter().map(|(name, c)| Workload::start(name, c, folder.path())).collect();
    let used: Result<Vec<Used>> = started?.into_iter().map(Workload::finish).collect();
    let status = agent.process.stop(libc::SIGTERM)?;
    anyhow::ensure!(status.success(), "the agent: {status}\n{}", agent.process.output());
    let tops: Result<Vec<Top>> = names.iter().map(|name| collector.service(name)).collect();
    Ok((collector, tops?.into_iter().zip(used?).collect()))
}

#[track_caller]
fn near(what: &str, found: f64, expected: f64, points: f64) {
    assert!((found - expected).abs() <= points, "{what}: {found:.2} %, expected {expected} %");
}

/// Total CPU of the profile is what the process says it used.
#[track_caller]
fn same_total(name: &str, top: &Top, used: &Used) {
    let (error, allowed) = (used.error(top.seconds()), used.tolerance());
    let found = top.seconds();
    assert!(error.abs() <= allowed, "{name}: {found:.2} s profiled of {used:.2?}: {error:+.1} %");
}

fn timed(name: &str) -> Command {
    let mut command = Command::new(program(name).unwrap());
    command.arg(SECONDS);
    command
}

#[test]
fn compiled_programs_have_their_known_shares_and_total() {
    let commands = vec![("shares", timed("shares")), ("blocks", timed("blocks"))];
    let (_collector, found) = profiled(commands).unwrap();
    let [(c, c_used), (rust, rust_used)] = &found[..] else { panic!("two workloads") };
    for (function, share) in [("work_sixty", 60.0), ("work_thirty", 30.0), ("work_ten", 10.0)] {
        near(function, c.share(function), share, 3.0);
    }
    for function in ["chain_1", "chain_12", "round_of_work"] {
        near(function, c.share(function), 100.0, 3.0);
    }
    near("three_quarters", rust.share("three_quarters"), 75.0, 3.0);
    near("one_quarter", rust.share("one_quarter"), 25.0, 3.0);
    same_total("shares", c, c_used);
    same_total("blocks", rust, rust_used);
}

#[test]
fn interpreters_and_libraries_are_seen_whole() {
    let mut script = Command::new("python3");
    script.arg(source("script.py")).arg(SECONDS);
    // openssl says what it did, but not what it used: the shell's `times` does.
    let mut openssl = Command::new("sh");
    let line = format!(
        "openssl speed -seconds {SECONDS} -bytes 16384 sha256 >/dev/null 2>&1; \
         awk '{{print ($16+$17)*10}}' /proc/$$/stat"
    );
    openssl.args(["-c", &line]);
    let (_collector, found) = profiled(vec![("script", script), ("speed", openssl)]).unwrap();
    let [(python, python_used), (openssl, openssl_used)] = &found[..] else { panic!("two") };
    same_total("python3", python, python_used);
    same_total("openssl", openssl, openssl_used);
    let crypto = openssl.binary_share("libcrypto");
    assert!(crypto >= 95.0, "libcrypto has {crypto:.1} %: {:?}", openssl.names());
}

#[test]
fn processes_that_live_fifteen_milliseconds_are_named() {
    let mut storm = Command::new(program("storm").unwrap());
    storm.arg(program("blink").unwrap()).arg("1000");
    let (collector, found) = profiled(vec![("storm", storm)]).unwrap();
    let [(_, used)] = &found[..] else { panic!("one workload") };
    let all = collector.top("{service_name=~\"storm|blink\"}").unwrap();
    // Who is gone before its environment is read has its parent's service.
    let configured = 100.0 * collector.service("storm").unwrap().seconds() / all.seconds();
    assert!(configured >= 95.0, "{configured:.1} % are under the configured service");
    let error = used.error(all.seconds());
    assert!(error.abs() <= used.tolerance().max(5.0), "{error:+.1} % of {used:?}");
    // The rest is fork, exec, the dynamic linker and exit.
    let named = all.share("blink_work");
    assert!(named >= 80.0, "blink_work has {named:.1} %: {:?}", all.names());
}

#[test]
fn kernel_frames_are_present_and_named() {
    let (_collector, found) = profiled(vec![("syscalls", timed("syscalls"))]).unwrap();
    let [(top, used)] = &found[..] else { panic!("one workload") };
    same_total("syscalls", top, used);
    let kernel = top.binary_share("[kernel]");
    assert!(kernel >= 80.0, "the kernel has {kernel:.1} %: {:?}", top.names());
    near("copy_zeroes", top.share("copy_zeroes"), 100.0, 3.0);
    assert!(top.share("vfs_read") >= 50.0, "{:?}", top.names());
}

#[test]
fn a_process_is_there_while_the_agent_runs() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path()).unwrap();
    let _agent = Agent::start(&collector, folder.path()).unwrap();
    let mut command = Command::new(program("shares").unwrap());
    command.arg("12");
    let _workload = Workload::start("shares", command, folder.path()).unwrap();
    let seen = || collector.service("shares").is_ok_and(|top| top.share("work_sixty") > 20.0);
    wait_until("the first profile", Duration::from_secs(10), seen).unwrap();
}
