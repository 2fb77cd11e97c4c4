//! Debian's archive, read through an apt configuration of our own: the system's packages and their
//! lists stay as they are, and nothing is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::matrix::{self, Arch, Kernel};
use crate::command::{command, output, run};
use crate::place;

/// How old package lists may be before they are fetched again.
const LISTS_AGE: Duration = Duration::from_hours(24);
/// A kernel's meta package, its image, and from 6.19 on the package that has the file.
const MAX_PACKAGES: usize = 4;

pub(super) struct Archive {
    /// `~/.cache/sonde/kernels`
    folder: PathBuf,
    configuration: PathBuf,
}

impl Archive {
    /// Writes the configuration and fetches the package lists, if they are a day old.
    pub(super) fn open() -> Result<Self> {
        let folder = place::cache()?.join("kernels");
        let configuration = folder.join("apt/apt.conf");
        let archive = Self { folder, configuration };
        let sources = sources(&mirror()?);
        let changed = archive.configure(&sources)?;
        if changed || !archive.is_recent() {
            archive.update()?;
        }
        Ok(archive)
    }

    /// The image of the newest kernel that the package names, from the cache or the archive.
    pub(super) fn kernel(&self, kernel: &Kernel) -> Result<PathBuf> {
        let Kernel { name, package, suite, arch } = *kernel;
        self.kept(
            name,
            &Package { name: package.into(), arch, release: format!("/{suite}") },
            "vmlinuz",
        )
    }

    /// A static busybox.
    pub(super) fn busybox(&self, arch: Arch) -> Result<PathBuf> {
        let package = Package { name: "busybox-static".into(), arch, release: "/trixie".into() };
        self.kept(&format!("busybox-{}", arch.debian()), &package, "busybox")
    }

    /// The file of the package whose name begins with `file`, kept in the cache as long as
    /// the archive has no newer package.
    fn kept(&self, name: &str, package: &Package, file: &str) -> Result<PathBuf> {
        let (kept, version) = (self.folder.join(name), self.folder.join(format!("{name}.version")));
        let newest = match self.newest(package) {
            Ok(newest) => newest,
            Err(error) if kept.is_file() => {
                println!("{name}: the one in the cache serves: {error:#}");
                return Ok(kept);
            }
            Err(error) => return Err(error),
        };
        if kept.is_file() && fs::read_to_string(&version).is_ok_and(|known| known == newest) {
            return Ok(kept);
        }
        println!("{name}: fetching {newest}");
        let scratch = self.folder.join(format!("{name}.new"));
        let _absent = fs::remove_dir_all(&scratch);
        fs::create_dir_all(&scratch).with_context(|| format!("create {}", scratch.display()))?;
        let found = self.unpack(package.clone(), &scratch, file)?;
        fs::rename(&found, &kept).with_context(|| format!("keep {}", found.display()))?;
        fs::write(&version, newest).with_context(|| format!("write {}", version.display()))?;
        fs::remove_dir_all(&scratch).with_context(|| format!("remove {}", scratch.display()))?;
        Ok(kept)
    }

    /// File name of the newest package, which has its version in it. Asks the lists only.
    fn newest(&self, package: &Package) -> Result<String> {
        let wanted = package.wanted();
        let told = output(&mut self.apt(["download", "--print-uris", "-qq", &wanted]))?;
        let name = told.split_whitespace().nth(1);
        name.map(str::to_owned).with_context(|| format!("apt tells no file for {wanted}: {told:?}"))
    }

    /// Unpacks a package and, while the file is not there, the kernel packages it stands for.
    fn unpack(&self, mut package: Package, scratch: &Path, file: &str) -> Result<PathBuf> {
        let (debs, tree) = (scratch.join("deb"), scratch.join("tree"));
        fs::create_dir_all(&debs).with_context(|| format!("create {}", debs.display()))?;
        for _ in 0..MAX_PACKAGES {
            output(self.apt(["download", "-qq", &package.wanted()]).current_dir(&debs))?;
            let deb = only_file(&debs)?;
            output(command("dpkg-deb", ["--extract"]).arg(&deb).arg(&tree))?;
            if let Some(found) = find(&tree, file)? {
                return Ok(found);
            }
            let depends = output(command("dpkg-deb", ["--field"]).arg(&deb).arg("Depends"))?;
            fs::remove_file(&deb).with_context(|| format!("remove {}", deb.display()))?;
            package = package.stands_for(&depends).with_context(|| {
                format!("{} has no {file}, and stands for no other", package.name)
            })?;
        }
        bail!("no {file} in {MAX_PACKAGES} packages, down to {}", package.name)
    }

    /// Whether the configuration was not what it should be.
    fn configure(&self, sources: &str) -> Result<bool> {
        let apt = self.folder.join("apt");
        for folder in ["lists/partial", "archives/partial"] {
            let folder = apt.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        }
        let shown = apt.display();
        let settings = format!(
            "APT::Architectures {{ \"amd64\"; \"arm64\"; }};\n\
             APT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
             Dir::Etc::SourceList \"{shown}/sources.list\";\n\
             Dir::Etc::SourceParts \"/dev/null\";\n\
             Dir::State::Lists \"{shown}/lists\";\n\
             Dir::Cache \"{shown}\";\n"
        );
        let one = write_changed(&apt.join("sources.list"), sources)?;
        let other = write_changed(&self.configuration, &settings)?;
        Ok(one || other)
    }

    fn is_recent(&self) -> bool {
        let fetched = fs::metadata(self.stamp()).and_then(|file| file.modified());
        fetched.is_ok_and(|then| then.elapsed().is_ok_and(|age| age < LISTS_AGE))
    }

    /// Fetches the lists. A release whose list can't be had fails its own kernels, if the cache does
    /// not have them.
    fn update(&self) -> Result<()> {
        match run(&mut self.apt(["update", "-qq"])) {
            Ok(()) => fs::write(self.stamp(), "").context("note when the lists were fetched"),
            Err(error) => {
                println!("not every package list is fresh: {error:#}");
                Ok(())
            }
        }
    }

    fn stamp(&self) -> PathBuf {
        self.folder.join("apt/fetched")
    }

    fn apt<const N: usize>(&self, words: [&str; N]) -> Command {
        let mut apt = command("apt-get", words);
        apt.env("APT_CONFIG", &self.configuration);
        apt
    }
}

/// Where this system gets its own Debian release from.
fn mirror() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").context("read /etc/os-release")?;
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let codename = codename.context("/etc/os-release tells no VERSION_CODENAME")?;
    let format = "$(REPO_URI) $(RELEASE) $(COMPONENT)";
    let told = output(&mut command(
        "apt-get",
        ["indextargets", "--format", format, "Created-By: Packages"],
    ))
    .context("kernels are fetched with Debian's apt")?;
    mirror_of(&told, codename.trim_matches('"'))
        .map(str::to_owned)
        .with_context(|| format!("apt has no source for Debian's {codename}"))
}

fn mirror_of<'a>(told: &'a str, codename: &str) -> Option<&'a str> {
    let mut lines = told.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    lines.find_map(|line| match line[..] {
        [uri, release, "main"] if release == codename => Some(uri),
        _ => None,
    })
}

fn sources(mirror: &str) -> String {
    // The keys of all releases, this system's and the others', where Debian's package has them.
    let keys = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg");
    let signed =
        if keys.is_file() { format!(" signed-by={}", keys.display()) } else { String::new() };
    let line = |suite: &str| {
        // arm64 comes from one release only, and lists are what takes longest.
        let archs = if suite == "trixie" { "amd64,arm64" } else { "amd64" };
        format!("deb [arch={archs}{signed}] {mirror} {suite} main\n")
    };
    matrix::suites().into_iter().map(line).collect()
}

/// A package as apt is asked for it.
#[derive(Clone)]
struct Package {
    name: String,
    arch: Arch,
    /// `/SUITE` or `=VERSION`.
    release: String,
}

impl Package {
    fn wanted(&self) -> String {
        format!("{}:{}{}", self.name, self.arch.debian(), self.release)
    }

    /// The kernel package in its `Depends` field, in its exact version if that is told.
    fn stands_for(&self, depends: &str) -> Option<Self> {
        let is_kernel =
            |name: &str| name.starts_with("linux-image-") || name.starts_with("linux-binary-");
        let other = depends.split(',').map(str::trim).find(|one| is_kernel(one))?;
        let (name, version) = other.split_once(" (= ").unwrap_or((other, ""));
        let release = match version.trim_end_matches(')') {
            "" => self.release.clone(),
            version => format!("={version}"),
        };
        Some(Self { name: name.split(' ').next()?.to_owned(), arch: self.arch, release })
    }
}

fn write_changed(path: &Path, text: &str) -> Result<bool> {
    if fs::read_to_string(path).is_ok_and(|known| known == text) {
        return Ok(false);
    }
    fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(true)
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let first = files.next().with_context(|| format!("nothing in {}", folder.display()))?;
    Ok(first.context("read a folder's entry")?.path())
}

/// The first regular file under `folder` whose name begins with `name`.
fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    let pattern = format!("{name}*");
    let mut find = command("find", [folder.as_os_str()]);
    let found = output(find.args(["-type", "f", "-size", "+64k", "-name", &pattern]))?;
    Ok(found.lines().next().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_where_the_system_s_own_release_comes_from() {
        let told = "http://a/tools nodistro main\nhttp://m/security two-security main\n\
                    http://m/extra two contrib\nhttp://m/debian two main\n";
        assert_eq!(mirror_of(told, "two"), Some("http://m/debian"));
        assert_eq!(mirror_of(told, "three"), None);
    }

    #[test]
    fn a_meta_package_stands_for_the_image_of_its_version() {
        let meta = Package { name: "meta".into(), arch: Arch::X86_64, release: "/two".into() };
        let wanted = |depends| meta.stands_for(depends).map(|package| package.wanted());
        assert_eq!(
            wanted("linux-image-6.1.0-9-cloud-amd64 (= 6.1.27-1)").as_deref(),
            Some("linux-image-6.1.0-9-cloud-amd64:amd64=6.1.27-1")
        );
        assert_eq!(
            wanted("kmod, linux-base (>= 4.3~), linux-binary-7.2-amd64, linux-modules-7.2")
                .as_deref(),
            Some("linux-binary-7.2-amd64:amd64/two")
        );
        assert_eq!(wanted("kmod, initramfs-tools (>= 1) | dracut"), None);
    }
}
