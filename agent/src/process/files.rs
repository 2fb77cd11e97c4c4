//! The files that processes map, each known once however many processes map it, and how to get hold
//! of them before they are gone.

use std::{
    fs::File,
    hash::{BuildHasher as _, BuildHasherDefault},
    io,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::Path,
    sync::Arc,
};

use hashbrown::HashTable;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

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
    /// A file for which there was no room.
    Refused,
}

/// A file as processes know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedFile {
    /// Path in the process's own file system, without ` (deleted)`.
    pub path: Arc<str>,
    /// What it is, whatever its name.
    pub inode: Inode,
}

/// The files that processes map executable.
#[derive(Debug, Default)]
pub struct FileTable {
    files: FxHashMap<FileIndex, MappedFile>,
    by_identity: HashTable<FileIndex>,
    next: u32,
    /// Files that were left when it was last looked for some to forget.
    kept: usize,
    refused: u64,
}

/// Of hosts that were looked at, none had more than some thousands. At some 200 bytes each, this is
/// 26 MB.
const MAX_FILES: usize = 1 << 17;
/// So many files are not worth a look for some to forget.
const FEW_FILES: usize = 1 << 10;

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
        let (files, hash) = (&self.files, hash(inode, path));
        let same = |index: &FileIndex| {
            files.get(index).is_some_and(|file| file.inode == inode && *file.path == *path)
        };
        if let Some(index) = self.by_identity.find(hash, same) {
            return Kind::File(*index);
        }
        if files.len() >= MAX_FILES || self.next == u32::MAX {
            self.refused += 1;
            return Kind::Refused;
        }
        let index = FileIndex(self.next);
        self.next += 1;
        self.files.insert(index, MappedFile { path: path.into(), inode });
        let files = &self.files;
        self.by_identity.insert_unique(hash, index, |index| hash_of(files, *index));
        Kind::File(index)
    }

    /// The file at a place that this table gave out, if it was not forgotten.
    #[must_use]
    pub fn get(&self, index: FileIndex) -> Option<&MappedFile> {
        self.files.get(&index)
    }

    /// Files that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Regions of files for which there was no room, since the start.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether it is time to look for files to forget: each look then costs less than the files that
    /// came since the last one.
    pub(super) fn may_hold_forgettable(&self) -> bool {
        self.len() >= (2 * self.kept).clamp(FEW_FILES, MAX_FILES)
    }

    /// Forgets all files but those in `used`, and says which.
    pub(super) fn retain(&mut self, used: &FxHashSet<FileIndex>) -> Vec<FileIndex> {
        let all = self.files.keys().copied();
        let forgotten: Vec<FileIndex> = all.filter(|index| !used.contains(index)).collect();
        self.by_identity.retain(|index| used.contains(index));
        self.files.retain(|index, _| used.contains(index));
        let files = &self.files;
        self.by_identity.shrink_to_fit(|index| hash_of(files, *index));
        self.files.shrink_to_fit();
        self.kept = self.files.len();
        forgotten
    }
}

fn hash(inode: Inode, path: &str) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one((inode, path))
}

fn hash_of(files: &FxHashMap<FileIndex, MappedFile>, index: FileIndex) -> u64 {
    files.get(&index).map_or(0, |file| hash(file.inode, &file.path))
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
        if let Ok(opened) = self.by_region(file) {
            return Ok(opened); // The very file, even if deleted or hidden by another mount.
        }
        let relative = file.path.trim_start_matches('/');
        let in_its_root = self.proc_root.join(self.pid.to_string()).join("root").join(relative);
        open_same(&in_its_root, file.inode)
            .or_else(|_| open_same(&Path::new("/").join(relative), file.inode))
    }

    /// By now the process may run another program, or its pid be another's, with another file at the
    /// same addresses.
    fn by_region(&self, file: &MappedFile) -> io::Result<File> {
        let (start, end) = self.range.ok_or(io::ErrorKind::NotFound)?;
        let name = format!("{start:x}-{end:x}");
        let region = self.proc_root.join(self.pid.to_string()).join("map_files").join(name);
        let opened = open_regular(&region)?;
        if is_same(&opened, file.inode)? || is_layered(&opened)? && is_named(&opened, &file.path)? {
            return Ok(opened);
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "another file is mapped there"))
    }
}

fn open_same(path: &Path, inode: Inode) -> io::Result<File> {
    let file = open_regular(path)?;
    if is_same(&file, inode)? {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "another file has taken its name"))
}

/// Device numbers of overlay and btrfs mounts differ between `stat` and the kernel's own view.
fn is_same(opened: &File, inode: Inode) -> io::Result<bool> {
    Ok(opened.metadata()?.ino() == inode.number)
}

/// On file systems without a device of their own, such as overlays, inode numbers may differ between
/// the two as well.
fn is_layered(opened: &File) -> io::Result<bool> {
    Ok(libc::major(opened.metadata()?.dev()) == 0)
}

fn is_named(opened: &File, path: &str) -> io::Result<bool> {
    let name = std::fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd()))?;
    let name = name.to_string_lossy();
    Ok(name.strip_suffix(" (deleted)").unwrap_or(&name) == path)
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
    fn a_file_past_the_bound_is_refused_and_counted_until_others_are_forgotten() {
        let mut files = FileTable::default();
        for number in 0..MAX_FILES as u64 {
            assert!(matches!(files.intern("/bin/a", inode(number)), Kind::File(_)));
        }
        assert_eq!(files.intern("/bin/b", inode(1)), Kind::Refused);
        assert_eq!(files.refused(), 1);
        assert_eq!(files.retain(&FxHashSet::from_iter([FileIndex(7)])).len(), MAX_FILES - 1);
        assert_eq!(files.intern("/bin/a", inode(7)), Kind::File(FileIndex(7)));
        let new = Kind::File(FileIndex(u32::try_from(MAX_FILES).expect("small")));
        assert_eq!(files.intern("/bin/b", inode(1)), new, "no index is given out twice");
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
    fn a_region_where_another_program_is_mapped_by_now_is_not_opened() {
        let root = tempfile::tempdir().expect("a directory");
        let [mine, other] = ["mine", "other"].map(|name| root.path().join(name));
        for path in [&mine, &other] {
            std::fs::write(path, "x").expect("written");
        }
        let regions = root.path().join("1/map_files");
        std::fs::create_dir_all(&regions).expect("made");
        let region = regions.join("1000-2000");
        std::os::unix::fs::symlink(&other, &region).expect("linked");
        let at = Whereabouts { proc_root: root.path(), pid: 1, range: Some((0x1000, 0x2000)) };
        let number = mine.metadata().expect("there").ino();
        let file = MappedFile { path: "/gone".into(), inode: inode(number) };
        assert!(at.open(&file).is_err());
        std::fs::remove_file(&region).expect("there");
        std::os::unix::fs::symlink(&mine, &region).expect("linked");
        assert!(at.open(&file).is_ok());
    }

    #[test]
    fn a_directory_under_the_name_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let error = open_regular(directory.path()).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
