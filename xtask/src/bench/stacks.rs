//! Stacks of programs without frame pointers: ours, perf's and bcc's, of the same two busy processes
//! one after the other. How many are whole and exact, and what it cost to get them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::bench::chains::{Chain, Stack, folded, perf_script};
use crate::bench::measure::{BpfStatistics, Cost, bpf, wait_with_cost};
use crate::stack::{remove, scratch};
use crate::{place, workloads};

const SECONDS: u64 = 15;
const FREQUENCY: &str = "97";
/// CPU time of each busy process: longer than any recording with its start and end.
const BUSY_SECONDS: &str = "19";

/// One way to record.
struct Recorder {
    name: &'static str,
    command: fn(&Path) -> Command,
    /// What it wrote, as stacks.
    read: fn(&Path) -> Result<Vec<Stack>>,
}

const RECORDERS: [Recorder; 4] = [
    Recorder { name: "sonde-agent record", command: sonde, read: read_folded },
    Recorder { name: "perf record -g", command: perf_frame_pointers, read: read_perf },
    Recorder { name: "perf record --call-graph dwarf", command: perf_dwarf, read: read_perf },
    Recorder { name: "bcc profile", command: bcc, read: read_folded },
];

pub(super) fn run() -> Result<()> {
    super::build()?;
    let programs = workloads::build()?;
    let folder = scratch("bench")?;
    let _statistics = BpfStatistics::enable()?;
    println!("two processes of known chains, {FREQUENCY} Hz, {SECONDS} s each\n");
    println!(
        "| | CPU s | µs in BPF per sample | peak MiB | MB written | ready after, s | whole | exact | off by |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for recorder in &RECORDERS {
        match record(recorder, &programs, &folder) {
            Ok(row) => println!("{row}"),
            Err(error) => println!("| {} | not measured: {error:#} |", recorder.name),
        }
    }
    remove(&folder);
    Ok(())
}

fn record(recorder: &Recorder, programs: &Path, folder: &Path) -> Result<String> {
    let busy = [busy(programs)?, busy(programs)?];
    sleep(Duration::from_secs(1));
    let file = folder.join("out.folded");
    let mut command = (recorder.command)(&file);
    let log = fs::File::create(folder.join("recorder.log")).context("create a log")?;
    let out =
        if recorder.name.starts_with("bcc") { fs::File::create(&file)? } else { log.try_clone()? };
    let started = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(out).stderr(log).spawn();
    let child = child.with_context(|| format!("start {}", recorder.name))?;
    // Shortly before its end: its programs go with it.
    sleep(Duration::from_millis(1000 * SECONDS - 500));
    let (in_bpf, runs) = bpf(child.id()).unwrap_or_default();
    let (status, Cost { cpu_seconds, peak_mib }) = wait_with_cost(child)?;
    let ready = started.elapsed().as_secs_f64() - SECONDS as f64;
    let said = fs::read_to_string(folder.join("recorder.log")).unwrap_or_default();
    ensure!(status.success(), "{status}: {}", said.lines().last().unwrap_or_default());
    let mut chains: Vec<Chain> = Vec::new();
    for process in busy {
        let output = process.wait_with_output().context("wait for a busy process")?;
        Chain::add_all(&mut chains, &String::from_utf8_lossy(&output.stdout))?;
    }
    // One begins late, so its share of a recording is not that of its process's life; of the other,
    // only the handler's half can be told by its leaf.
    chains.retain(|chain| !["late", "signal"].contains(&chain.name()));
    let written = fs::metadata(&file).map_or(0, |file| file.len()) as f64 / 1e6;
    let stacks = (recorder.read)(&file)?;
    let seen = crate::bench::chains::judge(&chains, &stacks);
    let per_run = if runs > 0 { format!("{:.1}", in_bpf * 1e6 / runs as f64) } else { "-".into() };
    Ok(format!(
        "| {} | {cpu_seconds:.2} | {per_run} | {peak_mib:.0} | {written:.1} | {ready:.2} | {:.1} % | {:.1} % | {:.1} points |",
        recorder.name, seen.whole, seen.exact, seen.off_by
    ))
}

fn busy(programs: &Path) -> Result<std::process::Child> {
    let mut chains = Command::new(programs.join("chains"));
    chains.arg(BUSY_SECONDS).args([programs.join("plugin.so"), programs.join("late.so")]);
    chains.stdout(Stdio::piped()).spawn().context("start a busy process")
}

fn sonde(file: &Path) -> Command {
    let agent = place::built("sonde-agent").unwrap_or_else(|_| PathBuf::from("sonde-agent"));
    let mut command = Command::new(agent);
    command.args(["record", "--frequency", FREQUENCY, "--duration", &format!("{SECONDS}s"), "-o"]);
    command.arg(file);
    command
}

fn perf(file: &Path, how: &[&str]) -> Command {
    let mut command = Command::new("perf");
    command.args(["record", "-F", FREQUENCY, "-a", "-e", "cpu-clock"]).args(how);
    command.arg("-o").arg(file).args(["--", "sleep", &SECONDS.to_string()]);
    command
}

fn perf_frame_pointers(file: &Path) -> Command {
    perf(file, &["-g"])
}

fn perf_dwarf(file: &Path) -> Command {
    perf(file, &["--call-graph", "dwarf"])
}

fn bcc(_file: &Path) -> Command {
    let mut command = Command::new("profile-bpfcc");
    command.args(["-F", FREQUENCY, "-f", &SECONDS.to_string()]);
    command
}

fn read_folded(file: &Path) -> Result<Vec<Stack>> {
    folded(&fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?)
}

/// What perf wrote, named by perf.
fn read_perf(file: &Path) -> Result<Vec<Stack>> {
    let started = Instant::now();
    let mut script = Command::new("perf");
    script
        .args(["script", "--no-inline", "--max-stack", "1024", "-F", "comm,ip,sym", "-i"])
        .arg(file);
    let output = script.stderr(Stdio::null()).output().context("run perf script")?;
    eprintln!("perf script took {:.1} s to name these", started.elapsed().as_secs_f64());
    Ok(perf_script(&String::from_utf8_lossy(&output.stdout)))
}
