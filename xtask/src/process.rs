//! Processes a task starts and stops: own process group, output in a log file, ended by their id.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::command::shown;
use crate::rights;

/// A started process. Dropping it ends it.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
    /// Started through sudo: this process may not signal it, and closes its standard input instead.
    privileged: bool,
    ended: bool,
}

impl Process {
    /// Starts `command` with its output in `logs/NAME.log`.
    pub(crate) fn start(name: &'static str, mut command: Command, logs: &Path) -> Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let errors = output.try_clone().context("share the log file")?;
        let privileged = rights::is_through_sudo(&command);
        let input = if privileged { Stdio::piped() } else { Stdio::null() };
        // A group of its own: Ctrl-C in the terminal reaches this task alone, which stops the
        // others in order.
        command.stdin(input).stdout(output).stderr(errors).process_group(0);
        let parent_dies = || {
            // SAFETY: prctl with PR_SET_PDEATHSIG takes one number, and is safe after a fork.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) };
            Ok(())
        };
        // SAFETY: the closure calls prctl only, and allocates nothing.
        unsafe { command.pre_exec(parent_dies) };
        let child = command.spawn().with_context(|| format!("start {}", shown(&command)))?;
        Ok(Self { name, child, log, privileged, ended: false })
    }

    /// Fails, with the last lines of its log, when the process has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait().context("ask for a process's state")? {
            None => Ok(()),
            Some(status) => {
                self.ended = true;
                bail!("{} ended ({status}). Its last lines:\n{}", self.name, self.last_lines(12))
            }
        }
    }

    /// Waits for its own end; returns what it wrote.
    pub(crate) fn ended(&mut self) -> Result<String> {
        let status = self.child.wait().context("wait for a process")?;
        self.ended = true;
        if !status.success() {
            bail!("{} ended ({status}). Its last lines:\n{}", self.name, self.last_lines(12));
        }
        fs::read_to_string(&self.log).with_context(|| format!("read {}", self.log.display()))
    }

    /// The process's id: what the kernel calls `tgid`.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the process to end, waits up to `patience`, and kills it then.
    pub(crate) fn stop(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        if self.ended {
            return Ok(None);
        }
        self.ended = true;
        if let Some(status) = self.child.try_wait().context("ask for a process's state")? {
            return Ok(Some(status));
        }
        if self.privileged {
            drop(self.child.stdin.take());
        } else {
            self.signal(libc::SIGTERM);
        }
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().context("wait for a process")? {
                return Ok(Some(status));
            }
            sleep(Duration::from_millis(20));
        }
        if self.privileged {
            let (name, id) = (self.name, self.child.id());
            bail!("{name} runs as root and does not end; its sudo is process {id}");
        }
        self.signal(libc::SIGKILL);
        self.child.wait().map(Some).context("wait for a killed process")
    }

    fn signal(&self, signal: libc::c_int) {
        if let Ok(id) = libc::pid_t::try_from(self.child.id()) {
            // SAFETY: kill takes two numbers; the child is not reaped yet, so the id is ours.
            unsafe { libc::kill(id, signal) };
        }
    }

    pub(crate) fn last_lines(&self, count: usize) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.len().saturating_sub(count);
        lines[first..].iter().map(|line| format!("  {line}\n")).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _best_effort = self.stop(Duration::from_secs(5));
    }
}
