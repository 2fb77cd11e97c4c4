//! The files that processes map, each known once however many processes map it, and how to get hold
//! of them before they are gone.

use std::{
    fs::File,
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustc_hash::FxHashMap;

use crate::record::Inode;

/// A file's place in the [`FileTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileIndex(pub u32);

/// What is behind a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File(FileIndex),
    Vdso,
    Anonymous,
}

/// A file as processes know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedFile {
    /// Path in the process's own file system, without ` (deleted)`.
    pub path: Arc<str>,
    /// What it is, whatever its name.
    pub inode: Inode,
}

/// All files that were mapped executable since the start.
#[derive(Debug, Default)]
pub struct FileTable {
    files: Vec<MappedFile>,
    by_identity: FxHashMap<(Inode, Arc<str>), FileIndex>,
}

/// Of hosts that were looked at, none had more than some thousands; past this, files of new
/// processes count as memory without a file.
const MAX_FILES: usize = 1 << 20;

impl FileTable {
    /// The file's place; a region that no file is behind says what it is instead.
    pub(super) fn intern(&mut self, path: &str, inode: Inode) -> Kind {
        match path {
            "[vdso]" => return Kind::Vdso,
            // `//anon` is the perf records' word for it; [heap], [stack], [anon:…]; shared memory.
            "" | "/dev/zero" => return Kind::Anonymous,
            _ if path.starts_with("//") || path.starts_with('[') => return Kind::Anonymous,
            _ if path.starts_with("anon_inode:") || path.starts_with("/SYSV") => {
                return Kind::Anonymous;
            }
            _ if path.starts_with("/memfd:") || path.starts_with("/dev/zero (") => {
                return Kind::Anonymous;
            }
            _ => {}
        }
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        if let Some(index) = self.by_identity.get(&(inode, Arc::from(path))) {
            return Kind::File(*index);
        }
        let Ok(place) = u32::try_from(self.files.len()) else { return Kind::Anonymous };
        if self.files.len() >= MAX_FILES {
            return Kind::Anonymous;
        }
        let path: Arc<str> = path.into();
        self.files.push(MappedFile { path: Arc::clone(&path), inode });
        self.by_identity.insert((inode, path), FileIndex(place));
        Kind::File(FileIndex(place))
    }

    /// The file at a place that this table gave out.
    #[must_use]
    pub fn get(&self, index: FileIndex) -> &MappedFile {
        &self.files[index.0 as usize]
    }
}

/// Where a process's file may be found.
pub(super) struct Whereabouts<'a> {
    /// `/proc`
    pub(super) proc_root: &'a Path,
    /// A process that maps the file.
    pub(super) pid: u32,
    /// The mapped region, where the process still has it.
    pub(super) range: Option<(u64, u64)>,
}

impl Whereabouts<'_> {
    /// Opens the file. A path is believed only if the inode behind it is the one that was mapped.
    ///
    /// # Errors
    /// If none of the ways leads to the file; the error is that of the last.
    pub(super) fn open(&self, file: &MappedFile) -> io::Result<File> {
        if let Ok(file) = self.by_region() {
            return Ok(file); // The very file, even if deleted or hidden by another mount.
        }
        let relative = file.path.trim_start_matches('/');
        let in_its_root = self.proc_root.join(self.pid.to_string()).join("root").join(relative);
        open_same(&in_its_root, file.inode)
            .or_else(|_| open_same(&Path::new("/").join(relative), file.inode))
    }

    fn by_region(&self) -> io::Result<File> {
        let (start, end) = self.range.ok_or(io::ErrorKind::NotFound)?;
        let name = format!("{start:x}-{end:x}");
        open_regular(&self.proc_root.join(self.pid.to_string()).join("map_files").join(name))
    }
}

fn open_same(path: &PathBuf, inode: Inode) -> io::Result<File> {
    let file = open_regular(path)?;
    // Device numbers of overlay and btrfs mounts differ between `stat` and the kernel's own view.
    if file.metadata()?.ino() == inode.number {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "another file has taken its name"))
}

/// A process may have named a pipe or a device like its program: opening that could block or act.
fn open_regular(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inode(number: u64) -> Inode {
        Inode { device: (8, 1), number }
    }

    #[test]
    fn a_file_is_known_once_and_deleting_it_does_not_change_it() {
        let mut files = FileTable::default();
        let first = files.intern("/bin/a", inode(1));
        assert_eq!(files.intern("/bin/a (deleted)", inode(1)), first);
        assert_ne!(files.intern("/bin/a", inode(2)), first, "replaced by another file");
    }

    #[test]
    fn memory_without_a_file_is_no_file() {
        let mut files = FileTable::default();
        for path in
            ["", "//anon", "[heap]", "[anon:jit]", "/memfd:jit (deleted)", "/SYSV0 (deleted)"]
        {
            assert_eq!(files.intern(path, inode(3)), Kind::Anonymous, "{path}");
        }
        assert_eq!(files.intern("[vdso]", inode(0)), Kind::Vdso);
    }

    #[test]
    fn a_file_that_took_the_name_of_another_is_not_opened() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("program");
        std::fs::write(&path, "x").expect("written");
        let number = path.metadata().expect("there").ino();
        let name: Arc<str> = path.to_str().expect("text").into();
        let at = Whereabouts { proc_root: Path::new("/nonexistent"), pid: 1, range: None };
        let same = MappedFile { path: Arc::clone(&name), inode: inode(number) };
        assert!(at.open(&same).is_ok());
        let other = MappedFile { path: name, inode: inode(number + 1) };
        assert!(at.open(&other).is_err());
    }

    #[test]
    fn a_directory_under_the_name_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let error = open_regular(directory.path()).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
