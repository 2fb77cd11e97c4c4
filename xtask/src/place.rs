//! Where things are: the workspace, the user's cache, what cargo built.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The workspace's top folder: that of the checkout in which cargo runs this, for two checkouts may
/// share a target folder, and with it this program.
pub(crate) fn workspace() -> PathBuf {
    let compiled_in = || env!("CARGO_MANIFEST_DIR").into();
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(compiled_in);
    Path::new(&package).join("..").components().fold(PathBuf::new(), |mut path, part| {
        match part {
            std::path::Component::ParentDir => drop(path.pop()),
            other => path.push(other),
        }
        path
    })
}

/// Tools that Sonde installs for this user: `$XDG_CACHE_HOME/sonde/tools`.
pub(crate) fn tools() -> Result<PathBuf> {
    Ok(cache()?.join("tools"))
}

/// What Sonde keeps for this user: `$XDG_CACHE_HOME/sonde`.
pub(crate) fn cache() -> Result<PathBuf> {
    let set = |variable| env::var_os(variable).filter(|value| !value.is_empty());
    let cache = match set("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(set("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
            .join(".cache"),
    };
    Ok(cache.join("sonde"))
}

/// A binary that cargo built beside this one.
pub(crate) fn built(name: &str) -> Result<PathBuf> {
    let me = env::current_exe().context("find this program's own path")?;
    let folder = me.parent().context("this program has no folder")?;
    Ok(folder.join(name))
}

/// The first program of this name in `PATH`.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Whether this process may load BPF programs without asking anybody.
pub(crate) fn is_root() -> bool {
    // SAFETY: geteuid has no arguments and cannot fail.
    unsafe { libc::geteuid() == 0 }
}
