//! Compiles the BPF programs of `agent-ebpf` into `OUT_DIR/sonde-ebpf.bpf.o`, and those that are
//! only measured beside them.
//!
//! What that needs (the standard library's source, bpf-linker) is provisioned once by
//! `cargo xtask setup`; nothing is fetched from here. Setup may leave a record of another choice,
//! `$XDG_CACHE_HOME/sonde/tools/bpf-toolchain`, with lines `key=value`: `cargo`, `rustc` and
//! `linker` (programs), `llvm` (the folder of the libLLVM that the linker loads).

use std::collections::HashMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const TARGET: &str = "bpfel-unknown-none";
/// The agent's programs, and those of its benches.
const BINARIES: [&str; 2] = ["sonde-ebpf", "sonde-ebpf-bench"];
const LINKER: &str = "bpf-linker-0.10.1/bin/bpf-linker";

fn main() -> ExitCode {
    match compile() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Problem::Missing(what)) => {
            println!("cargo::error={what}; run `cargo xtask setup`, which installs it");
            ExitCode::FAILURE
        }
        Err(Problem::Failed(what)) => {
            println!("cargo::error={what}");
            ExitCode::FAILURE
        }
    }
}

enum Problem {
    /// A part of the toolchain that setup provides.
    Missing(String),
    Failed(String),
}

fn compile() -> Result<(), Problem> {
    let workspace = directory("CARGO_MANIFEST_DIR")?.join("..");
    for watched in ["agent-ebpf/src", "agent-ebpf/Cargo.toml", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", workspace.join(watched).display());
    }
    let toolchain = Toolchain::find()?;
    let out_dir = directory("OUT_DIR")?;
    // Not the outer build's own folder: that one is locked until this script ends.
    let target_dir = out_dir
        .ancestors()
        .nth(4)
        .ok_or_else(|| Problem::Failed(format!("OUT_DIR {} is too short", out_dir.display())))?
        .join("bpf");
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    run(toolchain.build(&workspace, &target_dir, &arch))?;
    for binary in BINARIES {
        let object = target_dir.join(TARGET).join("bpf").join(binary);
        let failed = |e| Problem::Failed(format!("copy {}: {e}", object.display()));
        let mut bytes = fs::read(&object).map_err(failed)?;
        spell_unions_as_kernels_do(&mut bytes);
        fs::write(out_dir.join(format!("{binary}.bpf.o")), bytes).map_err(failed)?;
    }
    Ok(())
}

/// The linker makes identifiers of the names of generic structs, but not of unions, and a kernel
/// refuses the whole BTF for one such name: without BTF there is no `bpf_loop`.
fn spell_unions_as_kernels_do(object: &mut [u8]) {
    const UNION: &[u8] = b"MaybeUninit<";
    let places: Vec<usize> = object
        .windows(UNION.len())
        .enumerate()
        .filter_map(|(at, window)| (window == UNION).then_some(at))
        .collect();
    for at in places {
        let name = object[at..].iter_mut().take_while(|byte| **byte != 0);
        for byte in name.filter(|byte| !byte.is_ascii_alphanumeric()) {
            *byte = b'_';
        }
    }
}

/// The programs that compile for BPF.
struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
    linker: PathBuf,
    /// Where the linker finds the compiler's own libLLVM.
    llvm: PathBuf,
}

impl Toolchain {
    fn find() -> Result<Self, Problem> {
        for variable in ["SONDE_BPF_LINKER", "XDG_CACHE_HOME"] {
            println!("cargo::rerun-if-env-changed={variable}");
        }
        let tools = tools_dir()?;
        let record = read_record(&tools.join("bpf-toolchain"));
        let choice = |key: &str| record.get(key).map(PathBuf::from);
        let own = |key: &str| env::var_os(key).map(PathBuf::from).unwrap_or_default();
        let rustc = choice("rustc").unwrap_or_else(|| own("RUSTC"));
        let linker = env::var_os("SONDE_BPF_LINKER")
            .map(PathBuf::from)
            .or_else(|| choice("linker"))
            .unwrap_or_else(|| tools.join(LINKER));
        if !linker.is_file() {
            return Err(Problem::Missing(format!("no bpf-linker at {}", linker.display())));
        }
        let sysroot = sysroot(&rustc)?;
        if !sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").is_file() {
            let what = format!("no source of the standard library in {}", sysroot.display());
            return Err(Problem::Missing(what));
        }
        let llvm = choice("llvm").unwrap_or_else(|| sysroot.join("lib"));
        Ok(Self { cargo: choice("cargo").unwrap_or_else(|| own("CARGO")), rustc, linker, llvm })
    }

    fn build(&self, workspace: &Path, target_dir: &Path, arch: &str) -> Command {
        let mut command = Command::new(&self.cargo);
        command.current_dir(workspace).args(["build", "--package=sonde-ebpf", "--bins"]);
        command.args(["--features=programs", "--profile=bpf", "-Zbuild-std=core", "--target"]);
        command.arg(TARGET).arg("--target-dir").arg(target_dir);
        // clippy comes as a wrapper, cross builds and coverage as flags: none is meant for BPF.
        for outer in ["RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(outer);
        }
        let flags = [
            &format!("--cfg=bpf_target_arch=\"{arch}\""),
            "-Cdebuginfo=2",
            "-Clink-arg=--btf",
            // Else every copy and every zero is a call of a loop over bytes.
            "-Clink-arg=--disable-expand-memcpy-in-order",
        ];
        // The unstable build-std, on a stable compiler.
        command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", &self.rustc);
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        command.env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &self.linker);
        command.env("LD_LIBRARY_PATH", &self.llvm).env("AYA_BPF_TARGET_ARCH", arch);
        command
    }
}

fn sysroot(rustc: &Path) -> Result<PathBuf, Problem> {
    let output = Command::new(rustc)
        .args(["--print", "sysroot"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| Problem::Missing(format!("cannot run {}: {e}", rustc.display())))?;
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

fn run(mut command: Command) -> Result<(), Problem> {
    let status = command
        .status()
        .map_err(|e| Problem::Missing(format!("cannot run {:?}: {e}", command.get_program())))?;
    if status.success() {
        return Ok(());
    }
    Err(Problem::Failed(format!("the BPF programs did not compile ({status}); see above")))
}

/// The record of `cargo xtask setup`; none means that its first choice was taken.
fn read_record(path: &Path) -> HashMap<String, String> {
    let Ok(text) = fs::read_to_string(path) else { return HashMap::new() };
    // Only an existing file: cargo takes an absent one for changed, at each build.
    println!("cargo::rerun-if-changed={}", path.display());
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines.map(|(key, value)| (key.trim().into(), value.trim().into())).collect()
}

fn tools_dir() -> Result<PathBuf, Problem> {
    let not_empty = |dir: &std::ffi::OsString| !OsStr::is_empty(dir);
    let cache = env::var_os("XDG_CACHE_HOME").filter(not_empty).map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    cache
        .or_else(home)
        .map(|cache| cache.join("sonde/tools"))
        .ok_or_else(|| Problem::Missing("neither XDG_CACHE_HOME nor HOME is set".into()))
}

fn directory(variable: &str) -> Result<PathBuf, Problem> {
    env::var_os(variable)
        .map(PathBuf::from)
        .ok_or_else(|| Problem::Failed(format!("cargo did not set {variable}")))
}
