//! The workloads: programs whose shares of CPU are known by construction, and who say what they used.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

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
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads").join(name)
}

/// A running workload.
pub struct Workload {
    process: Process,
}

impl Workload {
    /// Starts `command` under the service name `service`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(service: &str, mut command: Command, folder: &Path) -> Result<Self> {
        command.env("OTEL_SERVICE_NAME", service);
        let log = folder.join(format!("{service}.out"));
        Ok(Self { process: Process::start(command, &log)? })
    }

    /// Waits for its end and returns the CPU time it says it used.
    ///
    /// # Errors
    /// When it fails, hangs, or its last line is no number of milliseconds.
    pub fn finish(mut self) -> Result<Duration> {
        let status = self.process.wait(Duration::from_secs(90))?;
        let output = self.process.output();
        anyhow::ensure!(status.success(), "the workload failed ({status}): {output}");
        let last = output.lines().last().context("the workload wrote nothing")?;
        let used = last.trim().parse().with_context(|| format!("{last:?} is no number"))?;
        Ok(Duration::from_millis(used))
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
