//! Builds the programs of `tests/workloads`: with frame pointers and debug info, whatever the
//! workspace's profile says.

mod bare;
pub(crate) mod services;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};

use crate::command::{command, run};
use crate::place;

/// How the C programs are compiled: with every frame that the source has.
pub(crate) const C_FLAGS: [&str; 4] =
    ["-O2", "-g", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls"];

/// Where the built workloads are.
pub(crate) fn folder() -> Result<PathBuf> {
    place::built("workloads")
}

/// Builds those whose source is newer than the program.
pub(crate) fn build() -> Result<PathBuf> {
    let sources = place::workspace().join("tests/workloads");
    for entry in fs::read_dir(&sources).with_context(|| format!("read {}", sources.display()))? {
        build_framed(&entry.context("read a folder's entry")?.path())?;
    }
    let folder = folder()?;
    bare::build(&folder)?;
    build_sdk(&folder.join("sdk"))?;
    services::build(&folder)?;
    Ok(folder)
}

/// A Go module, unlike the others: it has Pyroscope's SDK from the module proxy, by its checksum.
fn build_sdk(program: &Path) -> Result<()> {
    let module = place::workspace().join("tests/workloads/sdk");
    if ["main.go", "go.mod", "go.sum"].iter().all(|file| newer(program, &module.join(file))) {
        return Ok(());
    }
    run(command("go", ["build", "-o"]).arg(program).current_dir(&module))
}

/// Builds the one that `demo` shows: the others take compilers that a visitor need not have.
pub(crate) fn build_demo() -> Result<()> {
    build_framed(&place::workspace().join("tests/workloads/shop.rs"))
}

fn build_framed(source: &Path) -> Result<()> {
    let folder = folder()?;
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let program = folder.join(source.file_stem().unwrap_or_default());
    let extension = source.extension().and_then(OsStr::to_str);
    if newer(&program, source) {
        return Ok(());
    }
    // Source files are shown as the repository names them, wherever it was cloned to.
    let map = format!("{}/=", place::workspace().display());
    let (mut compile, map) = match extension {
        Some("c") => (c_compiler()?, format!("-ffile-prefix-map={map}")),
        Some("rs") => (rust_compiler(), format!("--remap-path-prefix={map}")),
        _ => return Ok(()),
    };
    run(compile.arg(map).arg(source).arg("-o").arg(&program))
}

fn c_compiler() -> Result<Command> {
    let Some(program) = ["cc", "gcc", "clang"].into_iter().find_map(place::program) else {
        bail!("no C compiler for tests/workloads; install gcc");
    };
    Ok(command(program, C_FLAGS))
}

fn rust_compiler() -> Command {
    command("rustc", ["--edition=2024", "-Copt-level=3", "-g", "-Cforce-frame-pointers=yes"])
}

fn newer(program: &Path, source: &Path) -> bool {
    let changed = |file: &Path| -> Option<SystemTime> { fs::metadata(file).ok()?.modified().ok() };
    matches!((changed(program), changed(source)), (Some(built), Some(written)) if built >= written)
}
