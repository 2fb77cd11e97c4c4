//! Debian packages that a task needs: only what is missing is installed, and it is said first.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::{command, output, run};
use crate::place;

/// What the tests need: a program to look for, and the package that brings it.
pub(crate) const FOR_TESTS: [(&str, &str); 10] = [
    ("cc", "gcc"),
    ("g++", "g++"),
    ("ld.gold", "binutils"),
    ("go", "golang-go"),
    ("python3", "python3"),
    ("openssl", "openssl"),
    ("setpriv", "util-linux"),
    ("chromium", "chromium"),
    ("node", "nodejs"),
    ("npm", "npm"),
];

/// What booting the kernel matrix needs; kernels are fetched, not installed.
pub(crate) const FOR_VM: [(&str, &str); 3] =
    [("qemu-system-x86_64", "qemu-system-x86"), ("readelf", "binutils"), ("cc", "gcc")];

/// What its arm64 part needs besides.
pub(crate) const FOR_ARM64: [(&str, &str); 2] = [
    ("qemu-system-aarch64", "qemu-system-arm"),
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
];

/// The C library to link with there, which no program shows.
pub(crate) const ARM64_LIBRARY: [&str; 1] = ["libc6-dev-arm64-cross"];

/// What a page needs to be drawn, and no program shows.
pub(crate) const FONTS: [&str; 1] = ["fonts-dejavu-core"];

/// Installs the packages of those programs that are not in `PATH`.
pub(crate) fn install_programs(purpose: &str, wanted: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|(program, _)| place::program(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    apt(purpose, &missing)
}

/// Installs those of `names` that are not installed.
pub(crate) fn install(purpose: &str, names: &[&str]) -> Result<()> {
    let installed = |name: &&str| {
        let mut query = command("dpkg-query", ["-W", "-f", "${Status}", name]);
        output(&mut query).is_ok_and(|status| status.ends_with(" installed"))
    };
    let missing: Vec<&str> = names.iter().copied().filter(|name| !installed(name)).collect();
    apt(purpose, &missing)
}

fn apt(purpose: &str, missing: &[&str]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    println!("{purpose} needs, and this system lacks: {}", missing.join(" "));
    if place::program("apt-get").is_none() {
        bail!("install them with your system's package manager, then run this again");
    }
    run(&mut privileged(&["update", "-q"]))?;
    // Never at the price of another package: Debian's QEMU, for one, removes the newer tools of a
    // backport.
    let mut words = vec!["install", "-y", "-q", "--no-install-recommends", "--no-remove"];
    words.extend(missing);
    run(&mut privileged(&words)).context("install the packages named above by hand")
}

fn privileged(words: &[&str]) -> Command {
    let mut apt = if place::is_root() {
        command("apt-get", words)
    } else {
        let mut sudo = command("sudo", ["apt-get"]);
        sudo.args(words);
        sudo
    };
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt
}
