//! What timing system calls costs those who make them: a call that does nothing, one that reads a byte,
//! and two switches of threads, without and with the agent in each of its modes.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::command::output;
use crate::process::Process;
use crate::stack::{free_port, remove, scratch};
use crate::{place, workloads};

const ROUNDS: usize = 5;
/// The modes, and seconds that each is measured for: a period of bursts is twenty.
const MODES: [(&str, &str); 4] = [("off", "4"), ("waits", "4"), ("sampled", "20"), ("always", "4")];
const WHAT: [&str; 3] = ["getppid", "read(/dev/zero), 1 byte", "a way there and back, 2 switches"];

/// Nanoseconds of each of [`WHAT`].
type Times = [f64; 3];

pub(super) fn run() -> Result<()> {
    super::build()?;
    workloads::build()?;
    let folder = scratch("bench")?;
    let mut rounds: Vec<[Times; 4]> = Vec::new();
    for _ in 0..ROUNDS {
        let mut round = [[0.0; 3]; 4];
        for (times, (mode, seconds)) in round.iter_mut().zip(MODES) {
            let mut agent = Command::new(place::built("sonde-agent")?);
            agent.args(["run", "--frequency", "1", "--syscalls", mode]);
            // Nobody listens there: sending is not what is measured.
            agent.args(["--collector", "http://127.0.0.1:9"]);
            agent.args(["--listen", &format!("127.0.0.1:{}", free_port()?)]);
            let mut agent = Process::start("agent", agent, &folder)?;
            sleep(Duration::from_secs(3));
            agent.check()?;
            *times = measure(seconds)?;
        }
        rounds.push(round);
    }
    remove(&folder);
    print(&rounds);
    Ok(())
}

fn measure(seconds: &str) -> Result<Times> {
    let program = workloads::folder()?.join("calls");
    let told = output(Command::new(program).args(["time", seconds]))?;
    let numbers: Option<Vec<f64>> = told.split_whitespace().map(|word| word.parse().ok()).collect();
    let numbers = numbers.and_then(|numbers| numbers.try_into().ok());
    numbers.with_context(|| format!("no three numbers: {told:?}"))
}

fn print(rounds: &[[Times; 4]]) {
    println!("| ns of CPU, median of {ROUNDS} rounds | off | waits | sampled | always |");
    println!("|---|---|---|---|---|");
    for (at, what) in WHAT.iter().enumerate() {
        let median = |mode: usize| {
            let mut times: Vec<f64> = rounds.iter().map(|round| round[mode][at]).collect();
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let told: Vec<String> =
            (0..MODES.len()).map(|mode| format!("{:.0}", median(mode))).collect();
        println!("| {what} | {} |", told.join(" | "));
    }
}
