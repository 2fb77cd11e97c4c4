//! A process of a test: output in a file, ended by its own id, never left behind.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::wait_until;

/// A started process. Dropping it kills it.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with both its outputs in `log`.
    ///
    /// # Errors
    /// When the program or the log file cannot be opened.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("create {}", log.display()))?;
        let errors = output.try_clone().context("share the log file")?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let child = command.spawn().with_context(|| format!("start {command:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// The process's id: what the kernel calls `tgid`.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process has not ended yet.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// All it wrote.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read(&self.log).map_or_else(|_| String::new(), |b| String::from_utf8_lossy(&b).into())
    }

    /// Resident memory in KiB; 0 once it has ended.
    #[must_use]
    pub fn resident_kb(&self) -> u64 {
        self.memory_kb("VmRSS:")
    }

    /// The most resident memory it ever had, in KiB; 0 once it has ended.
    #[must_use]
    pub fn peak_kb(&self) -> u64 {
        self.memory_kb("VmHWM:")
    }

    fn memory_kb(&self, what: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(what));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// Descriptors that it has open; 0 once it has ended.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        if let Ok(id) = libc::pid_t::try_from(self.child.id()) {
            // SAFETY: kill takes two numbers; the child is not reaped, so the id is still its own.
            unsafe { libc::kill(id, signal) };
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `patience`; the message ends with what it wrote.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let waited = wait_until("the end of a process", patience, || !self.runs());
        waited.with_context(|| format!("it wrote:\n{}", self.output()))?;
        self.child.wait().context("reap a process")
    }

    /// Asks it to end with `signal`, and waits.
    ///
    /// # Errors
    /// As [`Process::wait`].
    pub fn stop(&mut self, signal: i32) -> Result<ExitStatus> {
        self.signal(signal);
        self.wait(Duration::from_secs(10))
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// When it ended before by something else.
    pub fn crash(&mut self) -> Result<()> {
        let status = self.stop(libc::SIGKILL)?;
        anyhow::ensure!(status.signal() == Some(libc::SIGKILL), "it ended before: {status}");
        Ok(())
    }
}

/// CPU time of all processes that this one started and waited for, and of those that they did.
#[must_use]
pub fn cpu_of_children() -> Duration {
    // SAFETY: an all-zero `rusage` is a valid value of numbers alone.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `rusage`, which outlives the call.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut used) };
    let time = |time: libc::timeval| {
        let whole = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
        whole + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
    };
    time(used.ru_utime) + time(used.ru_stime)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
