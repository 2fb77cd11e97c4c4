//! `cargo xtask setup`: provisions, once, what compiling the BPF programs needs.
//!
//! First choice, on any distribution: the pinned toolchain's rust-src, and bpf-linker from crates,
//! which loads the toolchain's own LLVM. When rustup cannot fetch: Debian's rustc-web, recorded in
//! `tools/bpf-toolchain`, where `agent/build.rs` finds it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::{cargo, command, output, run as run_command};
use crate::{packages, place};

const LINKER_VERSION: &str = "0.10.1";
/// The newest rustc whose LLVM (22) this linker can load.
const DEBIAN: [&str; 3] = ["rustc-web", "rust-web-src", "cargo-web"];
const CORE_SOURCE: &str = "lib/rustlib/src/rust/library/core/src/lib.rs";

const OTHER_WAYS: &str = "What the BPF programs need, to install by hand:
  1. rustup, then: rustup component add rust-src   (in this folder: the toolchain is pinned)
     and: cargo install bpf-linker --version 0.10.1 --locked
  2. or Debian's packages rustc-web, rust-web-src and cargo-web (1.96, LLVM 22)
  3. or LLVM 22 and a newer linker:
     apt-get install llvm-22-dev libpolly-22-dev libzstd-dev zlib1g-dev libxml2-dev
     LLVM_SYS_221_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker --version 0.13.0 \\
       --no-default-features --features llvm-22
     and give its path in SONDE_BPF_LINKER";

/// Runs the task. `--debian` takes the fallback at once.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let debian = match args {
        [] => false,
        [flag] if flag == "--debian" => true,
        _ => bail!("usage: cargo xtask setup [--debian]"),
    };
    let tools = place::tools()?;
    fs::create_dir_all(&tools).with_context(|| format!("create {}", tools.display()))?;
    let record = tools.join("bpf-toolchain");
    linker(&tools)?;
    if debian || record.exists() && !has_source(&sysroot()?) {
        return distribution_toolchain(&tools, &record);
    }
    match rustup_source() {
        Ok(()) if record.exists() => fs::remove_file(&record).context("forget the fallback"),
        Ok(()) => Ok(()),
        Err(error) => {
            println!("rust-src: rustup cannot provide it ({error:#}); trying Debian's packages");
            distribution_toolchain(&tools, &record)
        }
    }
}

fn sysroot() -> Result<PathBuf> {
    Ok(PathBuf::from(output(&mut command("rustc", ["--print", "sysroot"]))?))
}

fn has_source(sysroot: &Path) -> bool {
    sysroot.join(CORE_SOURCE).is_file()
}

/// The source of `core`, which is compiled for BPF: no binary of it is distributed.
fn rustup_source() -> Result<()> {
    let sysroot = sysroot()?;
    if has_source(&sysroot) {
        println!("rust-src: there, in {}", sysroot.display());
        return Ok(());
    }
    println!("rust-src: adding it to the pinned toolchain");
    run_command(&mut command("rustup", ["component", "add", "rust-src"]))?;
    if has_source(&sysroot) { Ok(()) } else { bail!("still no {CORE_SOURCE} in the toolchain") }
}

/// The linker that turns the compiler's bitcode into a BPF object with BTF.
fn linker(tools: &Path) -> Result<()> {
    let root = tools.join(format!("bpf-linker-{LINKER_VERSION}"));
    let program = root.join("bin/bpf-linker");
    if let Some(own) = std::env::var_os("SONDE_BPF_LINKER") {
        println!("bpf-linker: {} (SONDE_BPF_LINKER)", Path::new(&own).display());
        return Ok(());
    }
    if program.is_file() {
        println!("bpf-linker: {LINKER_VERSION}, there, in {}", root.display());
        return Ok(());
    }
    println!("bpf-linker: building {LINKER_VERSION} from crates (2 minutes of CPU)");
    let mut install = cargo(["install", "bpf-linker", "--locked", "--version", LINKER_VERSION]);
    install.arg("--root").arg(&root).arg("--target-dir").arg(tools.join("bpf-linker-build"));
    // The linker is this machine's program, whatever the outer build is told.
    install.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS").current_dir(place::workspace());
    run_command(&mut install).context(OTHER_WAYS)?;
    fs::remove_dir_all(tools.join("bpf-linker-build")).context("remove the linker's build folder")
}

/// The fallback: a distribution's compiler with its source, recorded for `agent/build.rs`.
fn distribution_toolchain(tools: &Path, record: &Path) -> Result<()> {
    if place::program("apt-get").is_none() {
        println!("{OTHER_WAYS}");
        bail!("this system has neither rust-src nor apt-get: see above for what is missing");
    }
    packages::install("the BPF programs", &DEBIAN)?;
    let rustc = Path::new("/usr/bin/rustc");
    let version = output(Command::new(rustc).arg("-vV"))?;
    if !version.contains("LLVM version: 22.") {
        println!("{OTHER_WAYS}");
        bail!("{} has another LLVM than 22:\n{version}", rustc.display());
    }
    let sysroot = PathBuf::from(output(Command::new(rustc).args(["--print", "sysroot"]))?);
    if !has_source(&sysroot) {
        bail!("no source of the standard library in {}", sysroot.display());
    }
    let llvm = llvm_folder(&sysroot, &tools.join("bpf-llvm"))?;
    let lines = format!("cargo=/usr/bin/cargo\nrustc=/usr/bin/rustc\nllvm={}\n", llvm.display());
    if fs::read_to_string(record).is_ok_and(|known| known == lines) {
        println!("BPF toolchain: Debian's, as recorded in {}", record.display());
        return Ok(());
    }
    fs::write(record, lines).with_context(|| format!("write {}", record.display()))?;
    println!("BPF toolchain: Debian's, recorded in {}", record.display());
    Ok(())
}

/// A folder that holds nothing but a link to the compiler's libLLVM: the linker loads the first
/// one it meets in a folder, and a distribution keeps several side by side.
fn llvm_folder(sysroot: &Path, folder: &Path) -> Result<PathBuf> {
    let driver = fs::read_dir(sysroot.join("lib"))
        .into_iter()
        .chain(fs::read_dir(sysroot.join("lib/x86_64-linux-gnu")))
        .chain(fs::read_dir(sysroot.join("lib/aarch64-linux-gnu")))
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().contains("librustc_driver"))
        .context("no librustc_driver beside the compiler")?;
    let linked = output(Command::new("ldd").arg(&driver))?;
    let library = linked
        .lines()
        .filter(|line| line.contains("libLLVM"))
        .find_map(|line| line.split_whitespace().nth(2))
        .context("the compiler links no libLLVM")?;
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let link = folder.join("libLLVM.so");
    if fs::read_link(&link).is_ok_and(|known| known == Path::new(library)) {
        return Ok(folder.to_owned());
    }
    let _absent = fs::remove_file(&link);
    std::os::unix::fs::symlink(library, &link)
        .with_context(|| format!("link {}", link.display()))?;
    Ok(folder.to_owned())
}
