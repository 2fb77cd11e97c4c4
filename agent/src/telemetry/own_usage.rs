//! CPU time and memory of this process, from `/proc/self`.

use std::path::Path;
use std::{fs, io};

/// Clock ticks per second in `/proc/PID/stat`: fixed by the kernel's interface with user space.
const TICKS_PER_SECOND: u64 = 100;

/// What this process has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnUsage {
    /// CPU time, user and kernel, all threads, in nanoseconds; counted in steps of 10 ms.
    pub cpu_ns: u64,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
}

impl OwnUsage {
    /// Reads the figures.
    ///
    /// # Errors
    /// When `/proc` is not mounted or says something else than it always did.
    pub fn read() -> io::Result<Self> {
        Self::read_under(Path::new("/proc/self"))
    }

    fn read_under(process: &Path) -> io::Result<Self> {
        let odd = |file| io::Error::new(io::ErrorKind::InvalidData, format!("{file} reads oddly"));
        let stat = fs::read_to_string(process.join("stat"))?;
        let status = fs::read_to_string(process.join("status"))?;
        let cpu_ticks = cpu_ticks(&stat).ok_or_else(|| odd("stat"))?;
        Ok(Self {
            cpu_ns: cpu_ticks.saturating_mul(1_000_000_000 / TICKS_PER_SECOND),
            resident_bytes: resident_bytes(&status).ok_or_else(|| odd("status"))?,
        })
    }
}

/// User and kernel time. The name in parentheses may hold blanks and parentheses of its own.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<_> = after_name.split_ascii_whitespace().collect();
    // Fields 14 and 15 of proc(5); the first here is its third.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(field(14)?.saturating_add(field(15)?))
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn usage(stat: &str, status: &str) -> io::Result<OwnUsage> {
        let process = tempfile::tempdir().unwrap();
        fs::write(process.path().join("stat"), stat).unwrap();
        fs::write(process.path().join("status"), status).unwrap();
        OwnUsage::read_under(process.path())
    }

    #[test]
    fn figures_are_found_behind_a_name_with_parentheses() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 9 0 0 0 150 50 0 0 20 0 3 0 1234 9 9";
        let expected = OwnUsage { cpu_ns: 2_000_000_000, resident_bytes: 2_048 << 10 };
        assert_eq!(usage(stat, "Name:\ta\nVmRSS:\t    2048 kB\n").unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_understood_is_an_error() {
        for (stat, status) in [("", ""), ("7 (a) S 1", "VmRSS: 1 kB"), ("7 a", "VmRSS:\tmuch\n")] {
            assert!(usage(stat, status).is_err(), "{stat:?} {status:?}");
        }
    }

    #[test]
    fn this_process_has_figures() {
        assert!(OwnUsage::read().unwrap().resident_bytes > 0);
    }
}
