//! The numbers in `/proc/PID/stat`.

use std::fs;
use std::path::Path;

/// The `place`-th field behind the name, which may hold blanks and brackets itself.
pub(super) fn field(process: &Path, place: usize) -> Option<u64> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(place)?.parse().ok()
}

/// When a process began, in ticks since the boot; `None` if it is gone.
#[must_use]
pub fn start_ticks(proc_root: &Path, pid: u32) -> Option<u64> {
    field(&proc_root.join(pid.to_string()), 19)
}
