//! A small disk of memory, so that a disk can be full. Mounting needs root.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// A mounted tmpfs; unmounted when dropped.
pub struct Tmpfs {
    folder: PathBuf,
}

impl Tmpfs {
    /// Mounts one of `size_bytes` at `folder`, which is made.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn mount(folder: &Path, size_bytes: u64) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size_bytes}"), "sonde-test"]).arg(folder);
        let status = mount.status().context("start mount")?;
        anyhow::ensure!(status.success(), "mount: {status}");
        Ok(Self { folder: folder.to_owned() })
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a process that is just being stopped may still hold a file.
        let _best_effort = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}
