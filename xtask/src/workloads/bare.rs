//! The workloads of `tests/workloads/bare`: optimized, without frame pointers, by several compilers
//! and linkers. What is not there fails by name: a linker left out would be a check left out.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::newer;
use crate::command::{command, output, run};
use crate::place;

/// A program, its source, its compiler, and what else that is told.
struct Program {
    name: &'static str,
    source: &'static str,
    compiler: &'static str,
    args: &'static [&'static str],
}

const C: &[&str] = &["-O2", "-g", "-fomit-frame-pointer"];
const RUST: &[&str] = &["--edition=2024", "-Copt-level=3", "-g", "-Cforce-frame-pointers=no"];

const fn chains(name: &'static str, args: &'static [&'static str]) -> Program {
    Program { name, source: "chains.c", compiler: "gcc", args }
}

/// A C program of its own.
const fn alone(name: &'static str, source: &'static str) -> Program {
    Program { name, source, compiler: "gcc", args: &[] }
}

const PROGRAMS: [Program; 22] = [
    chains("chains", &["-fuse-ld=bfd"]),
    chains("chains-gold", &["-fuse-ld=gold"]),
    chains("chains-lld", &["-fuse-ld=lld"]),
    chains("chains-no-pie", &["-no-pie"]),
    chains("chains-static", &["-static", "-DNO_PLUGIN"]),
    chains("chains-static-pie", &["-static-pie", "-DNO_PLUGIN"]),
    chains("chains-no-tables", &["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]),
    Program { compiler: "musl-gcc", ..chains("chains-musl", &["-DNO_PLUGIN"]) },
    Program { compiler: "musl-gcc", ..chains("chains-musl-static", &["-static", "-DNO_PLUGIN"]) },
    Program {
        name: "plugin.so",
        source: "plugin.c",
        compiler: "gcc",
        args: &["-shared", "-fPIC", "-DNAME=plugin"],
    },
    Program {
        name: "late.so",
        source: "plugin.c",
        compiler: "gcc",
        args: &["-shared", "-fPIC", "-DNAME=late"],
    },
    alone("brief", "brief.c"),
    alone("quiet", "quiet.c"),
    alone("many", "many.c"),
    alone("mapped", "mapped.c"),
    alone("moved", "moved.c"),
    alone("jitted", "jitted.c"),
    Program {
        name: "east",
        source: "turns.c",
        compiler: "gcc",
        args: &["-no-pie", "-DNAME=east", "-DWIDE=24"],
    },
    Program {
        name: "west",
        source: "turns.c",
        compiler: "gcc",
        args: &["-no-pie", "-DNAME=west", "-DWIDE=408"],
    },
    Program { name: "throws", source: "throws.cpp", compiler: "g++", args: &[] },
    Program { name: "rusty", source: "rusty.rs", compiler: "rustc", args: &[] },
    Program { name: "gopher", source: "gopher.go", compiler: "go", args: &["build"] },
];

/// Builds those whose source is newer than the program.
pub(super) fn build(folder: &Path) -> Result<()> {
    let sources = place::workspace().join("tests/workloads/bare");
    for Program { name, source, compiler, args } in PROGRAMS {
        let (program, source) = (folder.join(name), sources.join(source));
        if newer(&program, &source) {
            continue;
        }
        let mut compile = command(compiler, args);
        match compiler {
            "rustc" => drop(compile.args(RUST)),
            "go" => {}
            _ => drop(compile.args(C)),
        }
        if args.contains(&"-fuse-ld=lld") {
            find_lld(&mut compile)?;
        }
        // Go wants its flags before the source.
        run(compile.arg("-o").arg(&program).arg(&source))?;
    }
    Ok(())
}

/// Where the system has no lld, the one that comes with Rust does.
fn find_lld(compile: &mut Command) -> Result<()> {
    if place::program("ld.lld").is_none() {
        let sysroot = output(&mut command("rustc", ["--print", "sysroot"]))?;
        let host = std::env::consts::ARCH;
        let folder: PathBuf = [sysroot.trim(), "lib/rustlib"].iter().collect();
        let folder = folder.join(format!("{host}-unknown-linux-gnu/bin/gcc-ld"));
        folder.join("ld.lld").metadata().context("no ld.lld: install lld")?;
        compile.arg("-B").arg(folder);
    }
    Ok(())
}
