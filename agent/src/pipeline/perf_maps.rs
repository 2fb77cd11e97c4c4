//! Where a runtime leaves the names of the code it makes: `/tmp/perf-PID.map`, in the process's own
//! file system and with the process's own idea of its pid.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Opens the perf map of a process, if it wrote one. Only a file of the process's own user, or of
/// root, is believed: anybody may write to `/tmp`. A link is not followed: it could lead anywhere.
pub(super) fn open(proc_root: &Path, pid: u32) -> Option<File> {
    let process = proc_root.join(pid.to_string());
    let status = fs::read_to_string(process.join("status")).ok()?;
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name));
    let own_pid = field("NSpid:")?.split_ascii_whitespace().next_back()?.parse::<u32>().ok()?;
    let user = field("Uid:")?.split_ascii_whitespace().nth(1)?.parse::<u32>().ok()?;
    let path = process.join("root/tmp").join(format!("perf-{own_pid}.map"));
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let meta = file.metadata().ok()?;
    (meta.is_file() && (meta.uid() == user || meta.uid() == 0)).then_some(file)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A `/proc` in which process 9 runs in a container as pid 1, as the user `uid`.
    fn proc_root(uid: u32) -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().expect("a directory");
        let tmp = root.path().join("9/root/tmp");
        fs::create_dir_all(&tmp).expect("made");
        let status = format!("Name:\tnode\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nNSpid:\t9\t1\n");
        fs::write(root.path().join("9/status"), status).expect("written");
        (root, tmp.join("perf-1.map"))
    }

    fn own_uid() -> u32 {
        tempfile::tempdir().and_then(|d| d.path().metadata()).expect("a directory").uid()
    }

    #[test]
    fn a_map_is_found_under_the_pid_that_the_process_knows() {
        let (root, map) = proc_root(own_uid());
        fs::write(map, "1 2 f\n").expect("written");
        assert!(open(root.path(), 9).is_some());
        assert!(open(root.path(), 10).is_none());
    }

    #[test]
    fn a_link_is_not_followed() {
        let (root, map) = proc_root(own_uid());
        std::os::unix::fs::symlink("/etc/passwd", map).expect("linked");
        assert!(open(root.path(), 9).is_none());
    }
}
