//! Stacks of programs without frame pointers: ours, perf's and bcc's, of the same two busy processes
//! one after the other. How many are whole and exact, and what it cost to get them; then what one of
//! ours costs by its depth.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::bench::measure::{BpfStatistics, Cost, bpf, children_cpu_seconds, wait_with_cost};
use crate::command::output;
use crate::process::Process;
use crate::stack::{remove, scratch};
use crate::{place, workloads};

const SECONDS: u64 = 15;
const FREQUENCY: &str = "97";
/// CPU time of each busy process: longer than any recording with its start and end.
const BUSY_SECONDS: &str = "19";
/// Of these chains, one begins late, so its share of a recording is not that of its process's life;
/// of the other, only a half can be told by its leaf.
const SKIPPED: &str = "late,signal";

/// Chains of one depth each, in frames, by what the workload calls them.
const DEPTHS: [(&str, u32); 3] = [("twelve", 12), ("sixty", 60), ("deep", 900)];
/// Rounds of each, for what else the machine does shows in every one of them.
const ROUNDS: usize = 5;
const ROUND_SECONDS: u64 = 2;

/// One way to record.
struct Recorder {
    name: &'static str,
    command: fn(&Path) -> Command,
    /// Makes folded stacks with names of what it wrote; returns the CPU seconds that took.
    fold: fn(&Path) -> Result<f64>,
}

const RECORDERS: [Recorder; 4] = [
    Recorder { name: "sonde-agent record", command: sonde, fold: is_folded },
    Recorder { name: "perf record -g", command: perf_frame_pointers, fold: fold_perf },
    Recorder { name: "perf record --call-graph dwarf", command: perf_dwarf, fold: fold_perf },
    Recorder { name: "bcc profile", command: bcc, fold: is_folded },
];

pub(super) fn run() -> Result<()> {
    super::build()?;
    let programs = workloads::build()?;
    let folder = scratch("bench")?;
    let _statistics = BpfStatistics::enable()?;
    println!("two processes of known chains, {FREQUENCY} Hz, {SECONDS} s each\n");
    println!(
        "| | CPU s | and to name | µs in BPF per sample | peak MiB | MB written | ready after, s | whole | exact | off by |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for recorder in &RECORDERS {
        match record(recorder, &programs, &folder) {
            Ok(row) => println!("{row}"),
            Err(error) => println!("| {} | not measured: {error:#} |", recorder.name),
        }
    }
    println!("\nµs in BPF per sample of ours, of {ROUNDS} rounds:");
    println!("| frames | lowest | median |\n|---|---|---|");
    for (chain, frames) in DEPTHS {
        let rounds = by_depth(chain, &programs, &folder)?;
        println!("| {frames} | {:.1} | {:.1} |", rounds[0], rounds[ROUNDS / 2]);
    }
    remove(&folder);
    Ok(())
}

fn record(recorder: &Recorder, programs: &Path, folder: &Path) -> Result<String> {
    let libraries = ["plugin.so", "late.so"].map(|name| programs.join(name));
    let mut chains = Command::new(programs.join("chains"));
    chains.arg(BUSY_SECONDS).args(&libraries);
    let mut busy = two(&chains, folder)?;
    let file = folder.join("out.folded");
    let log = folder.join("recorder.log");
    let errors = File::create(&log).context("create a log")?;
    let mut command = (recorder.command)(&file);
    command.stdin(Stdio::null()).stderr(errors);
    if recorder.name.starts_with("bcc") {
        command.stdout(File::create(&file).context("create its output")?);
    }
    let started = Instant::now();
    let child = command.spawn().with_context(|| format!("start {}", recorder.name))?;
    // Shortly before its end: its programs go with it.
    sleep(Duration::from_millis(1000 * SECONDS - 500));
    let (in_bpf, runs) = bpf(child.id()).unwrap_or_default();
    let (status, Cost { cpu_seconds, peak_mib }) = wait_with_cost(child)?;
    let ready = started.elapsed().as_secs_f64() - SECONDS as f64;
    let said = fs::read_to_string(&log).unwrap_or_default();
    ensure!(status.success(), "{status}: {}", said.lines().last().unwrap_or_default());
    let mut declared = String::new();
    for process in &mut busy {
        declared.push_str(&process.ended()?);
    }
    let written = fs::metadata(&file).map_or(0, |file| file.len()) as f64 / 1e6;
    let to_name = (recorder.fold)(&file)?;
    let shown = judged(&file, &declared, folder)?;
    let per_run = if runs > 0 { format!("{:.1}", in_bpf * 1e6 / runs as f64) } else { "-".into() };
    Ok(format!(
        "| {} | {cpu_seconds:.2} | {to_name:.2} | {per_run} | {peak_mib:.0} | {written:.1} | {ready:.2} | {shown} |",
        recorder.name
    ))
}

/// Microseconds in BPF for each of our samples of a chain, by round, the lowest first.
fn by_depth(chain: &str, programs: &Path, folder: &Path) -> Result<[f64; ROUNDS]> {
    let mut chains = Command::new(programs.join("chains-static"));
    chains.args([BUSY_SECONDS, chain]);
    let _busy = two(&chains, folder)?;
    let seconds = ROUNDS as u64 * ROUND_SECONDS + 2;
    let agent = sonde_for(seconds, &folder.join("out.folded"));
    let mut agent = Process::start("agent", agent, folder)?;
    // The first samples have no tables yet.
    sleep(Duration::from_secs(1));
    let mut rounds = [0.0; ROUNDS];
    for round in &mut rounds {
        let (before, runs_before) = bpf(agent.id())?;
        sleep(Duration::from_secs(ROUND_SECONDS));
        let (after, runs_after) = bpf(agent.id())?;
        *round = (after - before) * 1e6 / runs_after.saturating_sub(runs_before).max(1) as f64;
    }
    agent.ended()?;
    rounds.sort_by(f64::total_cmp);
    Ok(rounds)
}

/// Two processes of the same program, which keep both CPUs busy.
fn two(program: &Command, folder: &Path) -> Result<[Process; 2]> {
    let start = |name| {
        let mut command = Command::new(program.get_program());
        command.args(program.get_args());
        Process::start(name, command, folder)
    };
    let busy = [start("busy-1")?, start("busy-2")?];
    sleep(Duration::from_secs(1));
    Ok(busy)
}

/// What the harness's reader of chains, which the end-to-end cases trust, says of folded stacks.
fn judged(file: &Path, declared: &str, folder: &Path) -> Result<String> {
    let told = folder.join("declared");
    fs::write(&told, declared).with_context(|| format!("write {}", told.display()))?;
    let words = ["bench", "--quiet", "--workspace", "--profile=dev", "--bench=judge", "--"];
    output(super::optimised(&words).arg(file).arg(&told).arg(SKIPPED))
}

fn sonde(file: &Path) -> Command {
    sonde_for(SECONDS, file)
}

fn sonde_for(seconds: u64, file: &Path) -> Command {
    let agent = place::built("sonde-agent").unwrap_or_else(|_| PathBuf::from("sonde-agent"));
    let mut command = Command::new(agent);
    command.args(["record", "--frequency", FREQUENCY, "--duration", &format!("{seconds}s"), "-o"]);
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

fn is_folded(_file: &Path) -> Result<f64> {
    Ok(0.0)
}

/// Puts perf's own names in place of what it recorded.
fn fold_perf(file: &Path) -> Result<f64> {
    let mut script = Command::new("perf");
    script.args(["script", "--no-inline", "--max-stack", "1024", "-F", "comm,ip,sym", "-i"]);
    let before = children_cpu_seconds();
    let said = script.arg(file).stderr(Stdio::null()).output().context("run perf script")?;
    let to_name = children_cpu_seconds() - before;
    let folded = fold(&String::from_utf8_lossy(&said.stdout));
    fs::write(file, folded).with_context(|| format!("write {}", file.display()))?;
    Ok(to_name)
}

/// What `perf script -F comm,ip,sym` writes, a line with the program's name, then a frame a line, leaf
/// first, then an empty line, as folded stacks of one sample each.
fn fold(script: &str) -> String {
    let mut folded = String::new();
    for block in script.split("\n\n").map(|block| block.trim_matches('\n')) {
        let mut lines = block.lines();
        let Some(program) = lines.next() else { continue };
        folded.push_str(program.trim());
        for line in lines.rev() {
            let (_address, name) = line.trim().split_once(' ').unwrap_or_default();
            folded.push(';');
            folded.push_str(name);
        }
        folded.push_str(" 1\n");
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn perf_s_stacks_are_turned_round() {
        let script = "chains \n\t  55 spin\n\t  66 b\n\t  77 _start\n\nswapper \n\n";
        assert_eq!(fold(script), "chains;_start;b;spin 1\nswapper 1\n");
    }
}
