//! The agent under test, as daemon and one-shot.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::collector::Collector;
use crate::process::Process;
use crate::{binary, free_port, http, wait_until};

/// A running `sonde-agent run`.
pub struct Agent {
    /// Its process, for signals.
    pub process: Process,
    /// Its own port on 127.0.0.1.
    pub port: u16,
}

impl Agent {
    /// Starts one that pushes to `collector`, and waits until it is healthy.
    ///
    /// # Errors
    /// When it ends or isn't healthy in time; with what it wrote.
    pub fn start(collector: &Collector, folder: &Path) -> Result<Self> {
        Self::start_by(Command::new(binary("SONDE_AGENT_BIN")?), collector, folder)
    }

    /// As [`Agent::start`], with the words before `run` given (a wrapper that drops rights, say).
    ///
    /// # Errors
    /// As [`Agent::start`].
    pub fn start_by(mut command: Command, collector: &Collector, folder: &Path) -> Result<Self> {
        let port = free_port()?;
        command.args(["run", "--window", "2s", "--requests", "on"]);
        command.args(["--collector", &collector.url()]);
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        let mut process = Process::start(command, &folder.join(format!("agent-{port}.log")))?;
        let healthy = || http::get(port, "/healthz").is_ok_and(|answer| answer.status == 200);
        let waited =
            wait_until("the agent", Duration::from_secs(20), || healthy() || !process.runs());
        waited.with_context(|| format!("the agent wrote:\n{}", process.output()))?;
        anyhow::ensure!(process.runs(), "the agent ended; it wrote:\n{}", process.output());
        Ok(Self { process, port })
    }

    /// Its metrics page.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn metrics(&self) -> Result<String> {
        Ok(http::get(self.port, "/metrics")?.text())
    }
}

/// Runs `sonde-agent record` with these words to its end.
///
/// # Errors
/// When it cannot be started.
pub fn record<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Result<Output> {
    let mut command = Command::new(binary("SONDE_AGENT_BIN")?);
    command.arg("record").args(words).output().context("run sonde-agent record")
}

/// Runs `sonde-agent doctor` with these words to its end.
///
/// # Errors
/// When it cannot be started.
pub fn doctor<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Result<Output> {
    let mut command = Command::new(binary("SONDE_AGENT_BIN")?);
    command.arg("doctor").args(words).output().context("run sonde-agent doctor")
}
