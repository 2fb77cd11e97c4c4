//! The agent's cost at 97 Hz with 300 processes, beside `perf record -F 97 -g -a` into a file.
//!
//! They run one after the other over the same processes. What a profiler does inside the timer
//! interrupt is charged to no process: for the agent it is the run time of its BPF programs, for
//! perf it cannot be told and is left out.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bench::measure::{BpfStatistics, bpf, children_cpu_seconds, cpu_seconds, memory};
use crate::process::Process;
use crate::stack::{free_port, remove, scratch};
use crate::{place, workloads};

const WINDOW: Duration = Duration::from_secs(60);
const PROCESSES: &str = "300";

struct Cost {
    name: &'static str,
    cpu_seconds: f64,
    bpf_seconds: Option<f64>,
    bpf_runs: u64,
    peak_mib: f64,
    output_bytes: u64,
}

pub(super) fn run() -> Result<()> {
    super::build()?;
    let programs = workloads::build()?;
    let folder = scratch("bench")?;
    let mut idle = Command::new(programs.join("idle"));
    idle.arg(PROCESSES);
    let mut busy = Command::new(programs.join("shares"));
    busy.arg("100000");
    let _idle = Process::start("idle", idle, &folder)?;
    let _busy = Process::start("shares", busy, &folder)?;
    let _shop = Process::start("shop", Command::new(programs.join("shop")), &folder)?;
    let ours = sonde(&folder)?;
    let peer = perf(&folder)?;
    remove(&folder);
    print(&ours, peer.as_ref());
    Ok(())
}

fn sonde(folder: &Path) -> Result<Cost> {
    let _statistics = BpfStatistics::enable()?;
    let port = free_port()?;
    let mut collector = Command::new(place::built("sonde-collector")?);
    collector.args(["serve", "--otlp-grpc", "off", "--otlp-http", "off"]);
    collector.args(["--listen", &format!("127.0.0.1:{port}"), "--data"]);
    let _collector = Process::start("collector", with(collector, &folder.join("data")), folder)?;
    let mut agent = Command::new(place::built("sonde-agent")?);
    agent.args(["run", "--frequency", "97", "--collector", &format!("http://127.0.0.1:{port}")]);
    agent.args(["--listen", &format!("127.0.0.1:{}", port + 1)]);
    let mut agent = Process::start("agent", agent, folder)?;
    // Start-up (reading symbols of what runs already) is a cost of its own.
    sleep(Duration::from_secs(15));
    agent.check()?;
    let (cpu, (time, runs)) = (cpu_seconds(agent.id())?, bpf(agent.id())?);
    println!("start-up, 15 s: {cpu:.2} CPU s, and {time:.3} s in BPF programs");
    sleep(WINDOW);
    agent.check()?;
    let (cpu_end, (time_end, runs_end)) = (cpu_seconds(agent.id())?, bpf(agent.id())?);
    Ok(Cost {
        name: "sonde-agent run",
        cpu_seconds: cpu_end - cpu,
        bpf_seconds: Some(time_end - time),
        bpf_runs: runs_end - runs,
        peak_mib: memory(agent.id())?.1,
        output_bytes: 0,
    })
}

fn with(mut command: Command, path: &Path) -> Command {
    command.arg(path);
    command
}

fn perf(folder: &Path) -> Result<Option<Cost>> {
    let Some(program) = place::program("perf") else {
        println!("perf is not installed (Debian: linux-perf): no comparison");
        return Ok(None);
    };
    let file = folder.join("perf.data");
    let mut perf = Command::new(program);
    perf.args(["record", "-F", "97", "-g", "-a", "-e", "cpu-clock", "-o"]).arg(&file);
    let mut perf = Process::start("perf", perf, folder)?;
    sleep(Duration::from_secs(2));
    perf.check()?;
    sleep(WINDOW);
    let (peak, others) = (memory(perf.id())?.1, children_cpu_seconds());
    perf.stop(Duration::from_secs(30))?;
    let written = fs::metadata(&file).with_context(|| format!("look at {}", file.display()))?;
    Ok(Some(Cost {
        name: "perf record -F 97 -g -a",
        // Its whole life: what it puts off to its end (build ids) is part of a recording's cost.
        cpu_seconds: children_cpu_seconds() - others,
        bpf_seconds: None,
        bpf_runs: 0,
        peak_mib: peak,
        output_bytes: written.len(),
    }))
}

fn print(ours: &Cost, peer: Option<&Cost>) {
    let core = |seconds: f64| 100.0 * seconds / WINDOW.as_secs_f64();
    println!(
        "\n| {PROCESSES} processes, {WINDOW:?} | CPU s | % of a core | BPF s | µs/run | peak MiB | file MB |"
    );
    println!("|---|---|---|---|---|---|---|");
    for cost in [Some(ours), peer].into_iter().flatten() {
        let total = cost.cpu_seconds + cost.bpf_seconds.unwrap_or(0.0);
        let bpf = cost.bpf_seconds.map_or("?".into(), |seconds| format!("{seconds:.3}"));
        let run = cost.bpf_seconds.filter(|_| cost.bpf_runs > 0);
        let run = run.map_or("-".into(), |s| format!("{:.2}", s * 1e6 / cost.bpf_runs as f64));
        println!(
            "| {} | {:.2} | {:.2} | {bpf} | {run} | {:.0} | {:.1} |",
            cost.name,
            cost.cpu_seconds,
            core(total),
            cost.peak_mib,
            cost.output_bytes as f64 / 1e6,
        );
    }
    if let Some(peer) = peer {
        let ours_total = ours.cpu_seconds + ours.bpf_seconds.unwrap_or(0.0);
        println!(
            "ratio to perf: CPU {:.2} with our BPF time and without perf's interrupt time, \
             CPU alone {:.2}, memory {:.2}",
            ours_total / peer.cpu_seconds.max(0.01),
            ours.cpu_seconds / peer.cpu_seconds.max(0.01),
            ours.peak_mib / peer.peak_mib.max(0.1),
        );
    }
}
