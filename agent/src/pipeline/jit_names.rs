//! Names of code that a process made while it ran: what it tells of it, and where that is found.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use crate::{
    process::{CodeFile, ProcessTable},
    symbol::{Symbol, SymbolSource, UnknownReason, jit_dump::JitDump, perf_map::PerfMap},
};

/// What a runtime leaves for profilers.
pub(super) enum JitFile {
    /// A jitdump: `jit-PID.dump`, anywhere.
    Dump(File),
    /// A perf map: `/tmp/perf-PID.map`.
    PerfMap(File),
}

/// The names that one program told so far.
pub(super) enum JitNames {
    Dump(JitDump),
    PerfMap(File, PerfMap),
}

impl JitNames {
    pub(super) fn new(file: JitFile) -> Self {
        match file {
            JitFile::Dump(file) => Self::Dump(JitDump::new(file)),
            JitFile::PerfMap(file) => Self::PerfMap(file, PerfMap::default()),
        }
    }

    /// Runtimes go on writing: what was read before is not all.
    pub(super) fn update(&mut self) {
        match self {
            Self::Dump(dump) => {
                if let Err(error) = dump.update() {
                    tracing::debug!(%error, "a jitdump can't be read");
                }
            }
            Self::PerfMap(file, map) => {
                if let Err(error) = map.update(file) {
                    tracing::debug!(%error, "a perf map can't be read");
                }
            }
        }
    }

    /// Where the names of all code come from that was made at run time: what tells least, as it is
    /// said once for all programs.
    pub(super) fn source<'a>(mut all: impl Iterator<Item = &'a Self>) -> SymbolSource {
        match all.next() {
            None => SymbolSource::None(UnknownReason::JitWithoutPerfMap),
            Some(Self::Dump(_)) if all.all(|names| matches!(names, Self::Dump(_))) => {
                SymbolSource::JitDump
            }
            Some(_) => SymbolSource::PerfMap,
        }
    }

    /// The function at an address of the process.
    pub(super) fn symbolize(names: Option<&Self>, address: u64) -> Symbol {
        match names {
            Some(Self::Dump(dump)) => dump.symbolize(address),
            Some(Self::PerfMap(_, map)) => map.symbolize(address),
            None => Symbol::Unknown(UnknownReason::JitWithoutPerfMap),
        }
    }
}

/// What a process tells of the code it makes, if it does. A jitdump tells more than a perf map.
pub(super) fn find(table: &ProcessTable, proc_root: &Path, pid: u32) -> Option<JitFile> {
    let status = Status::read(proc_root, pid)?;
    let dump = dump(table, pid, status.own_pid).map(JitFile::Dump);
    dump.or_else(|| perf_map(proc_root, pid, &status).map(JitFile::PerfMap))
}

/// What the kernel says of a process.
struct Status {
    /// The process's own idea of its pid.
    own_pid: u32,
    user: u32,
}

impl Status {
    fn read(proc_root: &Path, pid: u32) -> Option<Self> {
        let status = fs::read_to_string(proc_root.join(pid.to_string()).join("status")).ok()?;
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name));
        let own_pid = field("NSpid:")?.split_ascii_whitespace().next_back()?.parse().ok()?;
        let user = field("Uid:")?.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(Self { own_pid, user })
    }
}

/// A runtime maps its jitdump executable, so that profilers see where it is. That makes it the
/// process's own, whoever owns the file. A copy of a process has its parent's mapped: the name tells.
fn dump(table: &ProcessTable, pid: u32, own_pid: u32) -> Option<File> {
    let name = format!("jit-{own_pid}.dump");
    let mappings = table.mappings(pid)?;
    let marker = mappings.regions().find_map(|region| match region.file {
        Some(CodeFile::File(file)) => {
            let path = &*table.files().get(file)?.path;
            (path.rsplit('/').next() == Some(&*name)).then_some((file, region.start))
        }
        _ => None,
    });
    let (file, address) = marker?;
    table.open(pid, file, address).ok()
}

/// In the process's own file system. Only a file of the process's own user, or of root, is believed:
/// anybody may write to `/tmp`. A link is not followed: it could lead anywhere.
fn perf_map(proc_root: &Path, pid: u32, status: &Status) -> Option<File> {
    let folder = proc_root.join(pid.to_string()).join("root/tmp");
    let path = folder.join(format!("perf-{}.map", status.own_pid));
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let meta = file.metadata().ok()?;
    (meta.is_file() && (meta.uid() == status.user || meta.uid() == 0)).then_some(file)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{
        process::Cgroups,
        record::{Inode, MappedRegion, ProcessEvent, ProcessEventKind},
    };

    /// A `/proc` in which process 9 runs in a container as pid 1, as the user `uid`.
    fn proc_root(uid: u32) -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().expect("a directory");
        let tmp = root.path().join("9/root/tmp");
        fs::create_dir_all(&tmp).expect("made");
        let status = format!("Name:\tnode\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nNSpid:\t9\t1\n");
        fs::write(root.path().join("9/status"), status).expect("written");
        (root, tmp)
    }

    fn own_uid() -> u32 {
        tempfile::tempdir().and_then(|d| d.path().metadata()).expect("a directory").uid()
    }

    fn table(root: &Path) -> ProcessTable {
        let mut table = ProcessTable::new(root.to_owned(), Cgroups::of_host());
        let kind = ProcessEventKind::Exec { comm: "node".into() };
        table.apply(&ProcessEvent { pid: 9, boot_ns: 1, kind });
        table
    }

    /// Process 9 maps a file of its `/tmp`.
    fn map(table: &mut ProcessTable, tmp: &Path, name: &str) {
        let file = tmp.join(name).metadata().expect("there");
        let inode = Inode { device: (0, 0), number: file.ino() };
        let path = format!("/tmp/{name}");
        let region = MappedRegion { start: 0x1000, end: 0x2000, file_offset: 0, inode, path };
        table.apply(&ProcessEvent { pid: 9, boot_ns: 2, kind: ProcessEventKind::Mapped(region) });
    }

    #[test]
    fn a_map_is_found_under_the_pid_that_the_process_knows() {
        let (root, tmp) = proc_root(own_uid());
        fs::write(tmp.join("perf-1.map"), "1 2 f\n").expect("written");
        let table = table(root.path());
        assert!(matches!(find(&table, root.path(), 9), Some(JitFile::PerfMap(_))));
        assert!(find(&table, root.path(), 10).is_none());
    }

    #[test]
    fn a_link_is_not_followed() {
        let (root, tmp) = proc_root(own_uid());
        std::os::unix::fs::symlink("/etc/passwd", tmp.join("perf-1.map")).expect("linked");
        assert!(find(&table(root.path()), root.path(), 9).is_none());
    }

    #[test]
    fn a_jitdump_is_found_where_it_is_mapped_and_goes_before_a_perf_map() {
        let (root, tmp) = proc_root(own_uid());
        fs::write(tmp.join("perf-1.map"), "1 2 f\n").expect("written");
        fs::write(tmp.join("jit-1.dump"), "dump").expect("written");
        let mut table = table(root.path());
        assert!(matches!(find(&table, root.path(), 9), Some(JitFile::PerfMap(_))), "not mapped");
        map(&mut table, &tmp, "jit-1.dump");
        assert!(matches!(find(&table, root.path(), 9), Some(JitFile::Dump(_))));
    }

    #[test]
    fn a_jitdump_that_a_copy_has_of_its_parent_is_not_its_own() {
        let (root, tmp) = proc_root(own_uid());
        fs::write(tmp.join("jit-2.dump"), "dump").expect("written");
        let mut table = table(root.path());
        map(&mut table, &tmp, "jit-2.dump");
        assert!(find(&table, root.path(), 9).is_none());
    }

    #[test]
    fn without_either_the_reason_is_said() {
        let without = JitNames::symbolize(None, 1);
        assert_eq!(without, Symbol::Unknown(UnknownReason::JitWithoutPerfMap));
        let file = || tempfile::tempfile().expect("a file");
        let dump = JitNames::new(JitFile::Dump(file()));
        let symbol = JitNames::symbolize(Some(&dump), 1);
        assert_eq!(symbol, Symbol::Unknown(UnknownReason::NotInJitDump));
        let map = JitNames::new(JitFile::PerfMap(file()));
        let symbol = JitNames::symbolize(Some(&map), 1);
        assert_eq!(symbol, Symbol::Unknown(UnknownReason::NotInPerfMap));
    }

    #[test]
    fn the_source_of_names_is_the_one_that_tells_least() {
        let names =
            |file: fn(File) -> JitFile| JitNames::new(file(tempfile::tempfile().expect("a file")));
        let (dump, map) = (names(JitFile::Dump), names(JitFile::PerfMap));
        let without = SymbolSource::None(UnknownReason::JitWithoutPerfMap);
        assert_eq!(JitNames::source([].into_iter()), without);
        assert_eq!(JitNames::source([&dump, &dump].into_iter()), SymbolSource::JitDump);
        assert_eq!(JitNames::source([&dump, &map].into_iter()), SymbolSource::PerfMap);
    }
}
