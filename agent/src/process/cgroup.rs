//! Control groups: which container or unit a process runs in, by the path its cgroup has.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustc_hash::FxHashMap;

/// The path of a cgroup below the root of its hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CgroupPath(pub Arc<str>);

impl CgroupPath {
    /// Id of the container, 64 hex digits: the innermost path component that holds one, as in
    /// `docker-ID.scope`, `cri-containerd-ID.scope`, `/kubepods/burstable/podUID/ID`, `/docker/ID`.
    #[must_use]
    pub fn container_id(&self) -> Option<&str> {
        self.0.rsplit('/').find_map(|component| {
            let name = component.strip_suffix(".scope").unwrap_or(component);
            let id = name.rsplit(['-', ':']).next()?;
            let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_id.then_some(id)
        })
    }

    /// Name of the systemd service: `nginx` of `/system.slice/nginx.service`, `getty` of
    /// `getty@tty1.service`. A login session is no service.
    #[must_use]
    pub fn unit(&self) -> Option<&str> {
        let service = self.0.rsplit('/').find_map(|part| part.strip_suffix(".service"))?;
        let name = service.split('@').next().unwrap_or(service);
        (name != "user" && !name.is_empty()).then_some(name)
    }
}

/// Reads a process's cgroup: the unified hierarchy's if it says anything, else the longest path, for
/// on version 1 each controller has its own and the deepest is the container's.
///
/// # Errors
/// If the process is gone.
pub(super) fn read(proc_root: &Path, pid: u32) -> io::Result<CgroupPath> {
    let text = fs::read_to_string(proc_root.join(pid.to_string()).join("cgroup"))?;
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let deepest = paths.max_by_key(|path| (path.matches('/').count(), path.len()));
    Ok(CgroupPath(deepest.unwrap_or("/").into()))
}

/// Cgroups of the unified hierarchy by the id that samples carry, for processes that are gone.
#[derive(Debug)]
pub struct Cgroups {
    root: PathBuf,
    is_unified: bool,
    by_id: FxHashMap<u64, Option<CgroupPath>>,
}

/// Ids remembered; past this, all are forgotten and learned again.
const MAX_IDS: usize = 10_000;
/// How deep below the root is looked.
const MAX_DEPTH: usize = 12;

impl Cgroups {
    /// Cgroups of this host. Ids are inode numbers of the unified hierarchy; those of version 1
    /// hierarchies beside it are other numbers that may be equal.
    #[must_use]
    pub fn of_host() -> Self {
        let root = PathBuf::from("/sys/fs/cgroup");
        let is_unified = root.join("cgroup.controllers").exists();
        Self { is_unified, ..Self::new(if is_unified { root } else { root.join("unified") }) }
    }

    /// Whether samples name the cgroup of their process, as they do where the hierarchy is unified.
    pub(super) fn are_named_by_samples(&self) -> bool {
        self.is_unified
    }

    /// Cgroups below `root`, the mount point of the unified hierarchy.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root, is_unified: true, by_id: FxHashMap::default() }
    }

    /// The cgroup that `id` names: on 64-bit machines the id is the directory's inode number.
    pub(super) fn path(&mut self, id: u64) -> Option<CgroupPath> {
        if let Some(known) = self.by_id.get(&id) {
            return known.clone();
        }
        if self.by_id.len() >= MAX_IDS {
            self.by_id.clear();
        }
        self.learn(&self.root.clone(), 0);
        self.by_id.entry(id).or_insert(None).clone()
    }

    fn learn(&mut self, directory: &Path, depth: usize) {
        let Ok(meta) = directory.metadata() else { return };
        let below = directory.strip_prefix(&self.root).unwrap_or(directory);
        let path = CgroupPath(format!("/{}", below.display()).into());
        self.by_id.insert(meta.ino(), Some(path));
        if depth == MAX_DEPTH || self.by_id.len() >= MAX_IDS {
            return;
        }
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.learn(&entry.path(), depth + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn every_runtime_s_way_to_write_a_container_id_is_read() {
        for path in [
            format!("/system.slice/docker-{ID}.scope"),
            format!("/docker/{ID}"),
            format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"),
            format!("/kubepods/burstable/pod12-34/{ID}"),
            format!("/machine.slice/libpod-{ID}.scope/container"),
            format!("/kubepods-besteffort.slice:cri-containerd:{ID}"),
        ] {
            assert_eq!(CgroupPath(path.as_str().into()).container_id(), Some(ID), "{path}");
        }
        assert_eq!(CgroupPath("/system.slice/nginx.service".into()).container_id(), None);
    }

    #[test]
    fn a_unit_names_a_service_and_a_login_session_does_not() {
        let unit = |path: &str| CgroupPath(path.into()).unit().map(str::to_owned);
        assert_eq!(unit("/system.slice/nginx.service").as_deref(), Some("nginx"));
        assert_eq!(unit("/system.slice/getty@tty1.service").as_deref(), Some("getty"));
        assert_eq!(unit("/user.slice/user-0.slice/user@0.service/init.scope"), None);
        assert_eq!(unit("/user.slice/user-0.slice/session-1.scope"), None);
    }

    #[test]
    fn a_cgroup_is_found_by_its_inode_and_a_missing_one_is_not_looked_for_twice() {
        let root = tempfile::tempdir().expect("a directory");
        let inner = root.path().join("system.slice/nginx.service");
        fs::create_dir_all(&inner).expect("made");
        let mut cgroups = Cgroups::new(root.path().into());
        let id = inner.metadata().expect("there").ino();
        assert_eq!(cgroups.path(id).expect("found").0.as_ref(), "/system.slice/nginx.service");
        assert_eq!(cgroups.path(u64::MAX), None);
        assert!(cgroups.by_id.contains_key(&u64::MAX));
    }

    #[test]
    fn of_several_hierarchies_the_deepest_path_is_taken() {
        let proc_root = tempfile::tempdir().expect("a directory");
        fs::create_dir(proc_root.path().join("7")).expect("made");
        let text = "12:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n0::/\n";
        fs::write(proc_root.path().join("7/cgroup"), text).expect("written");
        assert_eq!(read(proc_root.path(), 7).expect("read").0.as_ref(), "/docker/abc");
    }
}
