//! What the subcommands do. Each is the pipeline with other ends, or a report.

mod doctor;
mod probe;
mod record;
mod run;

use std::process::ExitCode;

use crate::{
    config::{Cli, Command, ConfigError, run_settings},
    kernel::KernelError,
};

/// Wrong usage or configuration.
const USAGE: u8 = 2;
/// This kernel or these rights do not allow it.
const NOT_ALLOWED: u8 = 3;

/// Runs a subcommand; the code is what the process ends with.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Run(args) => run_settings(&args, &environment)
            .map_err(Into::into)
            .and_then(|effective| run::run(&effective.settings)),
        Command::Record(args) => record::record(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Probe => probe::probe(),
        Command::CheckConfig(args) => run_settings(&args, &environment)
            .map(|effective| say(&effective.to_string()))
            .map_err(Into::into),
    };
    outcome.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS)
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reports why a command ended.
#[expect(clippy::print_stderr, reason = "this is where a command speaks to its user")]
fn fail(error: &anyhow::Error) -> ExitCode {
    if error.is::<ConfigError>() {
        eprintln!("{error}");
        return USAGE.into();
    }
    eprintln!("sonde-agent: {error:#}");
    if error.is::<probe::Unusable>() {
        return NOT_ALLOWED.into();
    }
    match error.downcast_ref::<KernelError>() {
        Some(kernel) => {
            if kernel.is_permission() {
                eprintln!("Sampling needs root, or CAP_BPF and CAP_PERFMON: try sudo.");
            }
            eprintln!("`sonde-agent probe` shows what this kernel allows.");
            NOT_ALLOWED.into()
        }
        None => ExitCode::FAILURE,
    }
}

/// Writes a report to standard output. Nobody reading it is not our failure.
fn say(text: &str) {
    use std::io::Write as _;
    let _reader_gone = writeln!(std::io::stdout(), "{}", text.trim_end());
}

fn permille(part: u64, whole: u64) -> u64 {
    part.saturating_mul(1000).checked_div(whole).unwrap_or(0)
}

/// A percentage with one decimal, rounded down: 100.0 is nothing less. All of nothing is all.
fn percent(part: u64, whole: u64) -> String {
    let permille = if whole == 0 { 1000 } else { permille(part, whole) };
    format!("{}.{}", permille / 10, permille % 10)
}

/// Name of this host, as the kernel has it.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".into(), |name| name.trim().to_owned())
}

/// Becomes ready when the user or the system wants the process to end.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
