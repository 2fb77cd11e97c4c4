//! The kernels that are booted: Debian's, by meta packages, so that no version here goes stale.

use anyhow::{Result, bail};

/// One kernel of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    /// What it is called here.
    pub(super) name: &'static str,
    /// The package that names the newest of its series.
    pub(super) package: &'static str,
    /// The release of Debian that has this package.
    pub(super) suite: &'static str,
    pub(super) arch: Arch,
}

impl Kernel {
    /// Whether calls on sockets can be watched there: what that takes came with 5.15.
    pub(super) fn tells_of_sockets(&self) -> bool {
        !self.name.starts_with("5.")
    }

    /// The processor that QEMU emulates for it.
    pub(super) fn processor(&self) -> &'static str {
        match (self.arch, self.name) {
            // Without cmpxchg16b it has no memory to remember sockets by.
            (Arch::X86_64, "newest") | (Arch::Aarch64, _) => "max",
            // QEMU 7.2 leaves junk in the flags after cmpxchg16b, of which one boot of Linux 6.12 in
            // three died; without that instruction these kernels do with others.
            (Arch::X86_64, _) => "max,-cx16",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arch {
    X86_64,
    Aarch64,
}

impl Arch {
    /// What Debian calls it.
    pub(super) fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }
}

/// The oldest kernel that is supported, those of Debian's last two releases, one that can be
/// preempted everywhere, and the newest there is; of arm64 one, for the programs that read
/// registers. The cloud flavour is half the download.
const MATRIX: [Kernel; 6] = [
    kernel("5.10", "linux-image-cloud-amd64", "bullseye", Arch::X86_64),
    kernel("6.1", "linux-image-cloud-amd64", "bookworm", Arch::X86_64),
    kernel("6.1-rt", "linux-image-rt-amd64", "bookworm", Arch::X86_64),
    kernel("6.12", "linux-image-cloud-amd64", "trixie", Arch::X86_64),
    kernel("newest", "linux-image-cloud-amd64", "trixie-backports", Arch::X86_64),
    kernel("6.12-arm64", "linux-image-cloud-arm64", "trixie", Arch::Aarch64),
];

const fn kernel(
    name: &'static str,
    package: &'static str,
    suite: &'static str,
    arch: Arch,
) -> Kernel {
    Kernel { name, package, suite, arch }
}

/// Every release that some kernel comes from.
pub(super) fn suites() -> Vec<&'static str> {
    let mut suites: Vec<_> = MATRIX.iter().map(|kernel| kernel.suite).collect();
    suites.sort_unstable();
    suites.dedup();
    suites
}

/// The kernels of these names; all of them if none is given.
pub(super) fn chosen(names: &[String]) -> Result<Vec<Kernel>> {
    if names.is_empty() {
        return Ok(MATRIX.to_vec());
    }
    names.iter().map(|name| named(name)).collect()
}

fn named(name: &str) -> Result<Kernel> {
    let Some(kernel) = MATRIX.into_iter().find(|kernel| kernel.name == name) else {
        let known: Vec<&str> = MATRIX.iter().map(|kernel| kernel.name).collect();
        bail!("no kernel {name:?}; there are {}", known.join(", "));
    };
    Ok(kernel)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kernel_is_refused_with_the_known_ones() {
        let error = chosen(&["6.1".into(), "2.6".into()]).unwrap_err().to_string();
        assert!(error.contains("2.6") && error.contains("6.12-arm64"), "{error}");
    }

    #[test]
    fn no_name_means_every_kernel() {
        assert_eq!(chosen(&[]).unwrap(), MATRIX);
        assert_eq!(chosen(&["newest".into()]).unwrap(), [MATRIX[4]]);
    }
}
