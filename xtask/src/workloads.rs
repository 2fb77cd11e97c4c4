//! Builds the programs of `tests/workloads`: with frame pointers and debug info, whatever the
//! workspace's profile says.

mod bare;

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
    let folder = folder()?;
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let sources = place::workspace().join("tests/workloads");
    for entry in fs::read_dir(&sources).with_context(|| format!("read {}", sources.display()))? {
        let source = entry.context("read a folder's entry")?.path();
        let Some(extension) = source.extension() else { continue };
        let program = folder.join(source.file_stem().unwrap_or_default());
        let mut compile = match extension.to_str() {
            Some("c") => c_compiler()?,
            Some("rs") => rust_compiler(),
            _ => continue,
        };
        if newer(&program, &source) {
            continue;
        }
        // Source files are shown as the repository names them, wherever it was cloned to.
        let map = format!("{}/=", place::workspace().display());
        let map = match extension.to_str() {
            Some("rs") => format!("--remap-path-prefix={map}"),
            _ => format!("-ffile-prefix-map={map}"),
        };
        run(compile.arg(map).arg(&source).arg("-o").arg(&program))?;
    }
    bare::build(&folder)?;
    Ok(folder)
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
