//! `cargo xtask vm`: boots Debian's kernels in QEMU and runs the agent in each. The kernel must take
//! the agent's programs, and a recording must show a workload's own call chain with names.

mod archive;
mod cases;
mod console;
mod cross;
mod guest;
mod initramfs;
mod instructions;
mod matrix;
mod qemu;
mod verdict;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::test::Count;
use crate::{packages, place, setup};
use archive::Archive;
use console::Console;
use guest::Programs;
use matrix::{Arch, Kernel};
use verdict::Verdict;

/// Runs the task for the named kernels, or for all.
pub(crate) fn run(args: &[String]) -> Result<()> {
    setup::run(&[])?;
    let mut count = Count::default();
    test(args, &mut count)?;
    count.close()
}

/// Counts each kernel as a test, and the programs' lengths as one.
pub(crate) fn test(names: &[String], count: &mut Count) -> Result<()> {
    let kernels = matrix::chosen(names)?;
    packages::install_programs("the kernel matrix", &packages::FOR_VM)?;
    let archive = Archive::open()?;
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let kernels: Vec<_> = kernels.iter().filter(|kernel| kernel.arch == arch).collect();
        if kernels.is_empty() {
            continue;
        }
        let files = Files::build(arch, &archive)?;
        if arch == Arch::X86_64 {
            count.case("lengths of the BPF programs", instructions::check());
        }
        for kernel in kernels {
            count.case(kernel.name, check(kernel, &archive, &files));
        }
    }
    Ok(())
}

/// What every kernel of one architecture boots with.
struct Files {
    /// Keeps the consoles too: a failure's whole story.
    folder: PathBuf,
    initramfs: PathBuf,
}

impl Files {
    fn build(arch: Arch, archive: &Archive) -> Result<Self> {
        let image = Programs::build(arch)?.initramfs(&archive.busybox(arch)?)?;
        let folder = place::built("vm")?;
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let initramfs = folder.join(arch.debian()).with_extension("cpio");
        fs::write(&initramfs, image).with_context(|| format!("write {}", initramfs.display()))?;
        Ok(Self { folder, initramfs })
    }
}

/// Boots one kernel and prints its line.
fn check(kernel: &Kernel, archive: &Archive, files: &Files) -> Result<()> {
    let image = archive.kernel(kernel)?;
    let started = Instant::now();
    let mut console = qemu::boot(kernel, &image, &files.initramfs)?;
    if Console::parse(&console).section("booted").is_err() {
        // Emulated CPUs that patch code while they start crash a kernel now and then, before anything
        // of ours runs.
        println!("{}: died before its first command; booting it once more", kernel.name);
        console = qemu::boot(kernel, &image, &files.initramfs)?;
    }
    let took = started.elapsed().as_secs_f64();
    let log = files.folder.join(format!("{}.log", kernel.name));
    fs::write(&log, &console).with_context(|| format!("write {}", log.display()))?;
    let verdict = Verdict::of(&Console::parse(&console), kernel);
    let Verdict { release, boot_seconds, programs, recordings, failures } = &verdict;
    let outcome = if failures.is_empty() { "ok" } else { "FAILED" };
    println!(
        "{:<11} {outcome:<6}  boot {boot_seconds} s, in all {took:.1} s  {release}  {}",
        kernel.name,
        programs.iter().chain(recordings).map(String::as_str).collect::<Vec<_>>().join("; "),
    );
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{}\nthe guest's console: {}", failures.join("\n"), log.display())
}
