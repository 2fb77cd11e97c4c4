//! What a guest has on board: busybox, the agent, the workloads, and the libraries they load.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::cases::{Case, cases};
use super::cross;
use super::initramfs::Initramfs;
use super::matrix::Arch;
use crate::command::{cargo, command, run};
use crate::{place, workloads};

/// The programs of one architecture.
pub(super) struct Programs {
    agent: PathBuf,
    workloads: PathBuf,
}

impl Programs {
    /// Builds them.
    pub(super) fn build(arch: Arch) -> Result<Self> {
        match arch {
            Arch::X86_64 => native(),
            Arch::Aarch64 => cross::build(),
        }
    }

    pub(super) fn new(agent: PathBuf, workloads: PathBuf) -> Self {
        Self { agent, workloads }
    }

    /// The guest's whole file system.
    pub(super) fn initramfs(&self, busybox: &Path) -> Result<Vec<u8>> {
        let mut image = Initramfs::default();
        for folder in ["/dev", "/proc", "/sys", "/tmp"] {
            image.folder(folder);
        }
        image.copy(busybox, "/bin/busybox")?;
        image.link("/bin/sh", "busybox");
        image.copy(&place::workspace().join("tests/vm/init.sh"), "/init")?;
        let mut programs = vec![("sonde-agent", self.agent.clone())];
        programs.push(("web", self.workloads.join("web")));
        programs.extend(cases().map(|case| (case.program, self.workloads.join(case.program))));
        let mut libraries = BTreeSet::new();
        for (name, program) in programs {
            libraries.extend(self::libraries(&program)?);
            image.copy(&program, &format!("/sonde/{name}"))?;
        }
        for library in libraries {
            image.copy(Path::new(&library), &library)?;
        }
        let cases: String = cases().iter().map(Case::line).collect();
        image.file("/sonde/cases", cases.as_bytes());
        Ok(image.finish())
    }
}

fn native() -> Result<Programs> {
    run(&mut cargo(["build", "--workspace", "--bin", "sonde-agent"]))?;
    Ok(Programs::new(place::built("sonde-agent")?, workloads::build()?))
}

/// The shared libraries that a program is started with, as paths; none for a static one.
fn libraries(program: &Path) -> Result<Vec<String>> {
    let mut ldd = command("ldd", [program]);
    let told = ldd.output().with_context(|| format!("run ldd on {}", program.display()))?;
    Ok(paths(&String::from_utf8_lossy(&told.stdout)))
}

/// The paths in what ldd tells: `libc.so.6 => /lib/libc.so.6 (0x…)` or `/lib64/ld-linux.so.2 (0x…)`.
fn paths(told: &str) -> Vec<String> {
    let path = |line: &str| {
        let line = line.rsplit(" => ").next()?.trim();
        let (path, _address) = line.split_once(" (0x")?;
        path.starts_with('/').then(|| path.to_owned())
    };
    told.lines().filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_paths_that_ldd_tells() {
        let told = "\tlinux-vdso.so.1 (0x7f)\n\tlibm.so.6 => /lib/a/libm.so.6 (0x7f)\n\
                    \t/lib64/ld-linux.so.2 (0x7f)\n";
        assert_eq!(paths(told), ["/lib/a/libm.so.6", "/lib64/ld-linux.so.2"]);
        assert!(paths("\tnot a dynamic executable\n").is_empty());
    }
}
