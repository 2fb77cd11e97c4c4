//! The `sonde-agent` command: parses what was typed and maps results to exit codes.

use std::process::ExitCode;

use clap::Parser as _;
use sonde_agent::{commands, config::Cli, kernel::use_one_heap};

fn main() -> ExitCode {
    use_one_heap();
    commands::run(Cli::parse())
}
