//! What a process cost so far, as the kernel tells it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};

use anyhow::{Context as _, Result, ensure};

/// Makes the kernel count the run time of BPF programs until dropped.
pub(super) struct BpfStatistics {
    before: String,
}

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

impl BpfStatistics {
    pub(super) fn enable() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).with_context(|| format!("read {SWITCH}"))?;
        fs::write(SWITCH, "1").with_context(|| format!("write {SWITCH}"))?;
        Ok(Self { before: before.trim().to_owned() })
    }
}

impl Drop for BpfStatistics {
    fn drop(&mut self) {
        let _best_effort = fs::write(SWITCH, &self.before);
    }
}

/// User plus system time of a process, in seconds. Interrupts that hit it are not in it.
pub(super) fn cpu_seconds(pid: u32) -> Result<f64> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).context("read a process's stat")?;
    cpu_of(&line).with_context(|| format!("no times in {line:?}"))
}

/// Fields 14 and 15, counted behind the name, which may hold anything.
fn cpu_of(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    // USER_HZ is 100 on every Linux that Sonde runs on.
    Some((user + system) / 100.0)
}

/// User plus system time of all children that were waited for, in seconds.
pub(super) fn children_cpu_seconds() -> f64 {
    // SAFETY: `rusage` is plain numbers, for which zeroes are valid.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `rusage` into `used`, which outlives the call.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut used) };
    seconds(&used)
}

/// What a process cost in all its life.
pub(super) struct Cost {
    /// User and system time, with that of its own children.
    pub(super) cpu_seconds: f64,
    /// Resident memory at its peak.
    pub(super) peak_mib: f64,
}

/// Waits for a process.
pub(super) fn wait_with_cost(child: Child) -> Result<(ExitStatus, Cost)> {
    let pid = i32::try_from(child.id()).context("a process id")?;
    let mut status = 0;
    // SAFETY: `rusage` is plain numbers, for which zeroes are valid.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes a number and one `rusage`, which outlive the call.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut used) };
    ensure!(waited == pid, "wait for process {pid}: {}", std::io::Error::last_os_error());
    let cost = Cost { cpu_seconds: seconds(&used), peak_mib: used.ru_maxrss as f64 / 1024.0 };
    Ok((ExitStatus::from_raw(status), cost))
}

fn seconds(used: &libc::rusage) -> f64 {
    let of = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    of(used.ru_utime) + of(used.ru_stime)
}

/// Run time in seconds and number of runs of the BPF programs that a process holds.
pub(super) fn bpf(pid: u32) -> Result<(f64, u64)> {
    let folder = PathBuf::from(format!("/proc/{pid}/fdinfo"));
    let mut programs = BTreeMap::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
        let Ok(entry) = entry else { continue };
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let number = |key: &str| -> Option<u64> {
            text.lines().find_map(|line| line.strip_prefix(key))?.trim().parse().ok()
        };
        // A program may be held by several descriptors, and links name it without its times.
        if let (Some(id), Some(ns)) = (number("prog_id:"), number("run_time_ns:")) {
            programs.insert(id, (ns, number("run_cnt:").unwrap_or(0)));
        }
    }
    let (ns, runs) = programs.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    Ok((ns as f64 / 1e9, runs))
}

/// Resident memory now and at its peak, in MiB.
pub(super) fn memory(pid: u32) -> Result<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("read its status")?;
    let mib = |key: &str| -> Option<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
    };
    mib("VmRSS:").zip(mib("VmHWM:")).context("no memory in its status")
}

#[cfg(test)]
mod tests {
    use super::cpu_of;

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194304 1 2 3 4 150 50 0 0 20 0 1 0 9 9 9";
        assert_eq!(cpu_of(stat), Some(2.0));
    }

    #[test]
    fn a_cut_line_has_no_times() {
        assert_eq!(cpu_of("7 (a) S 1 7"), None);
        assert_eq!(cpu_of(""), None);
    }
}
