//! `cargo xtask bench`: what Sonde costs, beside what others cost in the same run on this machine.

mod agent;
mod collector;
mod measure;
mod requests;
mod stacks;
mod syscalls;
mod tables;

use std::process::Command;

use anyhow::{Result, bail};

use crate::command::{cargo, output, run as run_command};
use crate::place;

const ALL: [&str; 6] = ["agent", "stacks", "tables", "requests", "syscalls", "collector"];

pub(crate) fn run(args: &[String]) -> Result<()> {
    let what: Vec<&str> = match args {
        [] => ALL.to_vec(),
        [one] if ALL.contains(&one.as_str()) => vec![one.as_str()],
        _ => bail!("usage: cargo xtask bench [{}]", ALL.join("|")),
    };
    if what != ["collector"] && !place::is_root() {
        bail!("the agent's benches load BPF programs, which needs root");
    }
    println!("{}\n", machine());
    for one in what {
        match one {
            "agent" => agent::run()?,
            "stacks" => stacks::run()?,
            "tables" => tables::run()?,
            "requests" => requests::run()?,
            "syscalls" => syscalls::run()?,
            _ => collector::run()?,
        }
    }
    Ok(())
}

/// A cargo command with our own crates at full optimisation; the dependencies, whose level the
/// profile pins, are those of every other build.
fn optimised(words: &[&str]) -> Command {
    let mut command = cargo(words);
    command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "3");
    command.env("CARGO_PROFILE_DEV_DEBUG_ASSERTIONS", "false");
    command.env("CARGO_PROFILE_DEV_OVERFLOW_CHECKS", "false");
    command
}

/// Builds the two binaries that are measured.
fn build() -> Result<()> {
    let words = ["build", "--workspace", "--bin=sonde-agent", "--bin=sonde-collector"];
    run_command(&mut optimised(&words))
}

fn machine() -> String {
    let told = |program: &str, words: &[&str]| {
        output(Command::new(program).args(words)).unwrap_or_else(|_| "?".into())
    };
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("?");
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{}, Linux {}, {count} CPUs, {}, load {}",
        told("date", &["+%Y-%m-%d %H:%M"]),
        told("uname", &["-r"]),
        model.trim_start_matches([' ', '\t', ':']),
        load.split(' ').next().unwrap_or("?"),
    )
}
