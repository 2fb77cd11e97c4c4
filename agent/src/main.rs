//! The `sonde-agent` command: parses what was typed and maps results to exit codes.

use std::process::ExitCode;

use clap::Parser as _;
use sonde_agent::{commands, config::Cli};

fn main() -> ExitCode {
    commands::run(Cli::parse())
}
