//! File systems of the tests' own: a small one, so that a disk can be full, and one of layers, as
//! containers have. Mounting needs root.

use std::fs;
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
        fs::create_dir_all(folder)?;
        mount("tmpfs", &format!("size={size_bytes}"), folder)?;
        Ok(Self { folder: folder.to_owned() })
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        unmount(&self.folder);
    }
}

/// A mounted overlay with a program in its lower layer; unmounted when dropped.
pub struct Overlay {
    merged: PathBuf,
    /// The program as the overlay shows it.
    pub program: PathBuf,
}

impl Overlay {
    /// Mounts one in `folder`, with a copy of `program`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn mount(folder: &Path, program: &Path) -> Result<Self> {
        let [lower, upper, work, merged] =
            ["lower", "upper", "work", "merged"].map(|name| folder.join(name));
        for layer in [&lower, &upper, &work, &merged] {
            fs::create_dir(layer)?;
        }
        let name = program.file_name().context("no file")?;
        fs::copy(program, lower.join(name))?;
        let [lower, upper, work] = [lower, upper, work].map(|layer| layer.display().to_string());
        let layers = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        mount("overlay", &layers, &merged)?;
        Ok(Self { program: merged.join(name), merged })
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        unmount(&self.merged);
    }
}

fn mount(kind: &str, options: &str, at: &Path) -> Result<()> {
    let mut mount = Command::new("mount");
    let status = mount.args(["-t", kind, "-o", options, "sonde-test"]).arg(at).status();
    let status = status.context("start mount")?;
    anyhow::ensure!(status.success(), "mount: {status}");
    Ok(())
}

fn unmount(at: &Path) {
    // Lazily: a process that is just being stopped may still hold a file.
    let _best_effort = Command::new("umount").arg("-l").arg(at).status();
}
