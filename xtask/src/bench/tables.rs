//! Unwind tables: how large they are and how fast they are built, for large files of this machine, and
//! what looking up a row takes in the kernel.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::{output, run as run_command};
use crate::place;

pub(super) fn run() -> Result<()> {
    let files = files()?;
    let words = |bench| ["bench", "--workspace", "--profile=dev", bench, "--"];
    let mut build = super::optimised(&words("--bench=unwind"));
    build.arg("--noplot").env("SONDE_BENCH_BINARIES", std::env::join_paths(&files)?);
    run_command(&mut build)?;
    let mut rows = super::optimised(&words("--bench=rows"));
    let largest = files.first().context("the compiler has no large library")?;
    run_command(rows.env("SONDE_BENCH_BINARIES", largest))
}

/// The compiler's libLLVM first, then what else is large and here.
fn files() -> Result<Vec<PathBuf>> {
    let root = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let library = PathBuf::from(root).join("lib");
    let in_library = std::fs::read_dir(&library).context("list the compiler's libraries")?;
    let mut files: Vec<PathBuf> = in_library
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| is_library(path, "libLLVM") || is_library(path, "librustc_driver"))
        .collect();
    files.sort();
    files.extend(["git", "node"].into_iter().filter_map(place::program));
    Ok(files)
}

/// Whether a file is this library, and no linker's script in its place.
fn is_library(path: &Path, name: &str) -> bool {
    let begins = path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name));
    begins && path.metadata().is_ok_and(|file| file.len() > 1 << 20)
}
