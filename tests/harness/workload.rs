//! The workloads: programs whose shares of CPU are known by construction, and who say what they used.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::process::Process;

/// The path of a built workload.
///
/// # Errors
/// When `SONDE_WORKLOADS` is not set or has no such program.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = crate::binary("SONDE_WORKLOADS")?.join(name);
    anyhow::ensure!(path.is_file(), "{} is not built", path.display());
    Ok(path)
}

/// The path of a workload's source.
#[must_use]
pub fn source(name: &str) -> PathBuf {
    // Of the checkout that cargo runs: two may share a target folder, and with it this test.
    let compiled_in = || env!("CARGO_MANIFEST_DIR").into();
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(compiled_in);
    Path::new(&package).join("workloads").join(name)
}

/// A running workload.
pub struct Workload {
    process: Process,
    started: Instant,
}

/// What a workload used, by its own account.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// User plus system time.
    pub cpu: Duration,
    /// Time from start to end.
    pub wall: Duration,
}

impl Used {
    /// The error, in percent, of a profile that has `seconds` of CPU for this.
    #[must_use]
    pub fn error(&self, seconds: f64) -> f64 {
        100.0 * (seconds / self.cpu.as_secs_f64() - 1.0)
    }

    /// How far, in percent, a right profile may be off: 3 % where the workload had a core to itself,
    /// and three standard errors of sampling where it had to share one (its ticks then come by
    /// chance; on a core of its own they come like a clock).
    #[must_use]
    pub fn tolerance(&self) -> f64 {
        let share = (self.cpu.as_secs_f64() / self.wall.as_secs_f64()).min(1.0);
        let samples = self.cpu.as_secs_f64() * 97.0;
        (300.0 * ((1.0 - share) / samples).sqrt()).max(3.0)
    }
}

impl Workload {
    /// Starts `command` under the service name `service`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(service: &str, mut command: Command, folder: &Path) -> Result<Self> {
        command.env("OTEL_SERVICE_NAME", service);
        let log = folder.join(format!("{service}.out"));
        Ok(Self { process: Process::start(command, &log)?, started: Instant::now() })
    }

    /// Waits for its end and returns what it says it used.
    ///
    /// # Errors
    /// When it fails, hangs, or its last line is no number of milliseconds.
    pub fn finish(mut self) -> Result<Used> {
        let status = self.process.wait(Duration::from_secs(90))?;
        let wall = self.started.elapsed();
        let output = self.process.output();
        anyhow::ensure!(status.success(), "the workload failed ({status}): {output}");
        let last = output.lines().last().context("the workload wrote nothing")?;
        let used = last.trim().parse().with_context(|| format!("{last:?} is no number"))?;
        Ok(Used { cpu: Duration::from_millis(used), wall })
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
