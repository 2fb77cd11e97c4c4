//! `sonde-agent record`: profile for a while, or for the life of a command, and write files.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::IsTerminal as _,
    process::ExitStatus,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use sonde_ebpf::StackEnd;
use tokio::process::{Child, Command};

use super::{environment, host_name, percent, stop_signal};
use crate::{
    aggregate::{ProfileWindow, Trust},
    config::{Output, OutputFormat, RecordArgs, RecordSettings, record_settings},
    encode::{Heading, folded, pprof, svg},
    pipeline::{CaptureSettings, Counters, Pipeline, Targets},
    syscalls::SyscallMode,
    telemetry::start_log,
};

pub(super) fn record(args: &RecordArgs) -> anyhow::Result<()> {
    let settings = record_settings(args, &environment)?;
    start_log(&settings.log_level)?;
    check_outputs(&settings.outputs)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (window, command) = runtime.block_on(take(&settings))?;
    write(&settings, &window)?;
    succeeded(command)
}

/// A command that failed fails what was told to run it.
pub(super) fn succeeded(command: Option<ExitStatus>) -> anyhow::Result<()> {
    match command {
        Some(status) if !status.success() => anyhow::bail!("the command ended with {status}"),
        _ => Ok(()),
    }
}

/// An hour of recording should not end with "permission denied".
fn check_outputs(outputs: &[Output]) -> anyhow::Result<()> {
    for Output { path, .. } in outputs {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| format!("write to {}", path.display()))?;
    }
    Ok(())
}

pub(super) async fn take(
    settings: &RecordSettings,
) -> anyhow::Result<(ProfileWindow, Option<ExitStatus>)> {
    let stop = stop_signal().context("wait for signals")?;
    let (pipeline, windows) = Pipeline::start(capture(settings), &Counters::default())?;
    let mut child = start(&settings.command)?;
    let bar = progress(settings);
    let command = tokio::select! {
        () = stop => None,
        () = time_is_up(settings.duration) => None,
        status = ended(child.as_mut()) => Some(status?),
        () = tick(&bar) => None,
    };
    bar.finish_and_clear();
    let window = tokio::task::spawn_blocking(move || {
        pipeline.finish();
        windows.recv()
    });
    let window = window.await?.context("the pipeline ended without a window")?;
    Ok((window, command))
}

fn capture(settings: &RecordSettings) -> CaptureSettings {
    let targets = if !settings.command.is_empty() {
        Targets::children_of(std::process::id())
    } else if settings.pids.is_empty() {
        Targets::everybody()
    } else {
        Targets::processes(settings.pids.iter().copied())
    };
    CaptureSettings {
        frequency: settings.frequency,
        window: None,
        targets,
        host: host_name(),
        debug_messages: tracing::enabled!(tracing::Level::DEBUG),
        table_bytes: settings.table_bytes,
        requests: None,
        syscalls: SyscallMode::Off,
        debuginfod: settings.debuginfod.clone(),
    }
}

fn start(command: &[String]) -> anyhow::Result<Option<Child>> {
    let Some((program, arguments)) = command.split_first() else { return Ok(None) };
    let child = Command::new(program).args(arguments).kill_on_drop(false).spawn();
    child.map(Some).with_context(|| format!("run {program}"))
}

async fn ended(child: Option<&mut Child>) -> std::io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

async fn time_is_up(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

fn progress(settings: &RecordSettings) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = match settings.duration {
        Some(duration) => {
            let style =
                "{elapsed:>4} of {msg} {bar:32} Ctrl-C ends it early and keeps what there is";
            bar_with(ProgressBar::new(milliseconds(duration)), style)
        }
        None => bar_with(ProgressBar::new_spinner(), "{spinner} {elapsed} sampling"),
    };
    bar.set_message(format!("{:.0} s", settings.duration.unwrap_or_default().as_secs_f64()));
    bar
}

fn bar_with(bar: ProgressBar, style: &str) -> ProgressBar {
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style.progress_chars("━━ ")),
        Err(_) => bar,
    }
}

/// Moves the bar until the other ends are reached.
async fn tick(bar: &ProgressBar) {
    let start = Instant::now();
    loop {
        bar.set_position(milliseconds(start.elapsed()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::print_stderr, reason = "this is where the command speaks to its user")]
fn write(settings: &RecordSettings, window: &ProfileWindow) -> anyhow::Result<()> {
    let samples: u64 =
        window.services.iter().flat_map(|service| &service.stacks).map(|stack| stack.count).sum();
    for Output { path, format } in &settings.outputs {
        let bytes = match format {
            OutputFormat::Svg => svg(window, &heading(settings))?,
            OutputFormat::Pprof => pprof::merged(&window.services, window.into()),
            OutputFormat::Folded => folded(&window.services).into_bytes(),
        };
        fs::write(path, bytes).with_context(|| format!("write {}", path.display()))?;
        eprintln!("{}: {samples} samples", path.display());
    }
    if let Some(said) = completeness(&window.trust) {
        eprintln!("{said}");
    }
    for (reason, count) in &window.trust.lost {
        let what = if reason.loses_samples() { "samples lost" } else { "process facts missed" };
        eprintln!("{what}: {count} × {}", reason.label());
    }
    Ok(())
}

/// How many stacks reach their thread's first function, and why others don't.
fn completeness(trust: &Trust) -> Option<String> {
    let mut by_reason: BTreeMap<&str, u64> = BTreeMap::new();
    for stack in &trust.stacks {
        *by_reason.entry(stack.reason).or_default() += stack.count;
    }
    let all: u64 = by_reason.values().sum();
    // Between two programs a process has no user stack: nothing is missing of those.
    let whole = |end: StackEnd| by_reason.get(end.label()).copied().unwrap_or(0);
    let complete = whole(StackEnd::Complete) + whole(StackEnd::InExec);
    by_reason.remove(StackEnd::Complete.label());
    if all == 0 {
        return None;
    }
    let mut said = format!("stacks: {} % complete", percent(complete, all));
    let mut others: Vec<(&str, u64)> = by_reason.into_iter().collect();
    others.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (reason, count) in others {
        let _infallible = write!(said, ", {count} × {reason}");
    }
    Some(said)
}

fn heading(settings: &RecordSettings) -> Heading {
    let title = if !settings.command.is_empty() {
        settings.command.join(" ")
    } else if settings.pids.is_empty() {
        host_name()
    } else {
        let pids: Vec<String> = settings.pids.iter().map(ToString::to_string).collect();
        format!("processes {}", pids.join(", "))
    };
    Heading { title, note: String::new() }
}
