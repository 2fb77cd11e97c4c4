//! Debian packages that a task needs: only what is missing is installed, and it is said first.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::{command, output, run};
use crate::place;

/// What the tests need: a program to look for, and the package that brings it.
pub(crate) const FOR_TESTS: [(&str, &str); 14] = [
    ("cc", "gcc"),
    ("g++", "g++"),
    ("musl-gcc", "musl-tools"),
    ("ld.gold", "binutils"),
    ("go", "golang-go"),
    ("javac", "default-jdk-headless"),
    ("python3", "python3"),
    ("openssl", "openssl"),
    ("curl", "curl"),
    ("setpriv", "util-linux"),
    ("strace", "strace"),
    ("chromium", "chromium"),
    ("node", "nodejs"),
    ("npm", "npm"),
];

/// Servers of the distribution that are profiled under load, what loads them, and the unit that
/// would start each with the system.
pub(crate) const SERVERS: [(&str, Option<&str>); 5] = [
    ("nginx", Some("nginx")),
    ("redis-server", Some("redis-server")),
    ("postgresql", Some("postgresql")),
    ("apache2-utils", None),
    ("python3", None),
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
    let missing: Vec<&str> = names.iter().copied().filter(|name| !is_installed(name)).collect();
    apt(purpose, &missing)
}

fn is_installed(name: &str) -> bool {
    let mut query = command("dpkg-query", ["-W", "-f", "${Status}", name]);
    output(&mut query).is_ok_and(|status| status.ends_with(" installed"))
}

/// Installs the packages of [`SERVERS`] that are not installed. What was not there is not started,
/// neither now nor with the system: the tests start it on a port of their own.
pub(crate) fn install_servers() -> Result<()> {
    let purpose = "profiling servers";
    let missing: Vec<_> = SERVERS.iter().filter(|(name, _)| !is_installed(name)).collect();
    let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
    if names.is_empty() {
        return Ok(());
    }
    if place::program("dpkg-query").is_none() {
        bail!("{purpose} takes those that Debian builds: install {}", names.join(" "));
    }
    let unstarted = Unstarted::by(Path::new("/usr/sbin/policy-rc.d"))?;
    apt(purpose, &names)?;
    drop(unstarted);
    let units = missing.iter().filter_map(|(_, unit)| *unit);
    let units: Vec<&str> = units.filter(|_| Path::new("/run/systemd/system").exists()).collect();
    if units.is_empty() { Ok(()) } else { run(command("systemctl", ["disable"]).args(units)) }
}

/// While it lives, installing a service does not start it.
struct Unstarted<'a>(Option<&'a Path>);

impl<'a> Unstarted<'a> {
    /// By Debian's policy for services, unless the system has one of its own.
    fn by(policy: &'a Path) -> Result<Self> {
        if policy.exists() {
            return Ok(Self(None));
        }
        let refuse = "#!/bin/sh\nexit 101\n";
        fs::write(policy, refuse).with_context(|| format!("write {}", policy.display()))?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("make {} executable", policy.display()))?;
        Ok(Self(Some(policy)))
    }
}

impl Drop for Unstarted<'_> {
    fn drop(&mut self) {
        if let Some(policy) = self.0 {
            let _already_gone = fs::remove_file(policy);
        }
    }
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_policy_that_starts_no_service_is_gone_afterwards_and_the_system_s_own_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy-rc.d");
        let unstarted = Unstarted::by(&policy).unwrap();
        assert_eq!(Command::new(&policy).status().unwrap().code(), Some(101));
        drop(unstarted);
        assert!(!policy.exists());
        fs::write(&policy, "own").unwrap();
        drop(Unstarted::by(&policy).unwrap());
        assert_eq!(fs::read_to_string(&policy).unwrap(), "own");
    }
}
