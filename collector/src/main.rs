//! The `sonde-collector` command: 0 done, 1 failed, 2 wrong usage or configuration.

use std::io::{Write, stdout};
use std::process::ExitCode;

use clap::Parser;
use sonde_collector::config::{Args, Command, Settings};
use sonde_collector::{server, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    let Args { command } = Args::parse();
    let (Command::Serve(args) | Command::CheckConfig(args)) = &command;
    let settings = match Settings::resolve(args) {
        Ok(settings) => settings,
        Err(error) => return failed(2, &error),
    };
    if matches!(command, Command::CheckConfig(_)) {
        return say(&settings);
    }
    telemetry::start_log(&settings.log);
    let started = |address| {
        say(&format_args!("sonde-collector: http://{address}"));
    };
    match server::run(settings, started).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(1, &error),
    }
}

/// One line for whoever started this; a closed pipe is their choice.
fn say(line: &dyn std::fmt::Display) -> ExitCode {
    let mut out = stdout().lock();
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn failed(code: u8, error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "sonde-collector: {error}");
    ExitCode::from(code)
}
