//! The agent and the workloads for arm64, built here: static, so that the guest needs no libraries
//! of another architecture.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::cases::cases;
use super::guest::Programs;
use crate::command::{cargo, command, output, run};
use crate::workloads::C_FLAGS;
use crate::{packages, place};

const TARGET: &str = "aarch64-unknown-linux-gnu";
const COMPILER: &str = "aarch64-linux-gnu-gcc";

pub(super) fn build() -> Result<Programs> {
    let purpose = "the arm64 kernel";
    packages::install_programs(purpose, &packages::FOR_ARM64)?;
    if place::program("dpkg-query").is_some() {
        packages::install(purpose, &packages::ARM64_LIBRARY)?;
    }
    standard_library()?;
    let mut build = cargo(["build", "--workspace", "--bin", "sonde-agent", "--target", TARGET]);
    build.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", COMPILER);
    build.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-Ctarget-feature=+crt-static");
    run(&mut build)?;
    let folder = place::built(&format!("../{TARGET}/debug"))?;
    Ok(Programs::new(folder.join("sonde-agent"), workloads(&folder.join("workloads"))?))
}

/// Rust's own library for the target, which rustup adds to the pinned toolchain.
fn standard_library() -> Result<()> {
    let folder = output(&mut command("rustc", ["--print", "target-libdir", "--target", TARGET]))?;
    if Path::new(&folder).is_dir() {
        return Ok(());
    }
    println!("{TARGET}: adding Rust's library for it to the pinned toolchain");
    run(&mut command("rustup", ["target", "add", TARGET]))
}

fn workloads(folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let cases = cases().map(|case| (case.program, case.source, case.flags));
    for (program, source, flags) in cases.into_iter().chain([("web", "web.c", &C_FLAGS[..])]) {
        let source = place::workspace().join("tests/workloads").join(source);
        let mut compile = command(COMPILER, flags);
        run(compile.arg("-static").arg(&source).arg("-o").arg(folder.join(program)))?;
    }
    Ok(folder.to_owned())
}
