//! Names of code that a process made while it ran: what it tells of it, and where that is found.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustc_hash::FxHashMap;

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

/// The names that programs told so far, by their serials.
#[derive(Default)]
pub(super) struct JitNames(FxHashMap<u64, Names>);

/// Of one program.
enum Names {
    Dump(JitDump),
    PerfMap(File, PerfMap),
    /// There were more than may be kept.
    TooMany,
}

/// What names of all programs may take, in bytes. Every process may write as many as it likes.
const MAX_BYTES: usize = 64 << 20;

impl JitNames {
    /// Takes what a program writes. The first file stays, because it is read bit by bit; but a
    /// jitdump tells more than a map.
    pub(super) fn add(&mut self, serial: u64, file: JitFile) {
        match (self.0.get(&serial), file) {
            (None | Some(Names::PerfMap(..)), JitFile::Dump(file)) => {
                self.0.insert(serial, Names::Dump(JitDump::new(file)));
            }
            (None, JitFile::PerfMap(file)) => {
                self.0.insert(serial, Names::PerfMap(file, PerfMap::default()));
            }
            _ => {}
        }
    }

    /// Reads on: what was read before is not all.
    pub(super) fn update(&mut self, wanted: impl Fn(u64) -> bool) {
        for (serial, names) in &mut self.0 {
            if wanted(*serial) {
                names.update();
            }
        }
        self.shrink(MAX_BYTES);
    }

    /// Lets go of the names of those who told the most.
    fn shrink(&mut self, limit: usize) {
        while self.0.values().map(Names::memory_bytes).sum::<usize>() > limit {
            let most = self.0.values_mut().max_by_key(|names| names.memory_bytes());
            let Some(most) = most else { break };
            *most = Names::TooMany;
        }
    }

    /// Forgets the other programs.
    pub(super) fn retain(&mut self, serials: &[u64]) {
        self.0.retain(|serial, _| serials.contains(serial));
    }

    /// The function at an address of a process.
    pub(super) fn symbolize(&self, serial: u64, address: u64) -> Symbol {
        match self.0.get(&serial) {
            Some(Names::Dump(dump)) => dump.symbolize(address),
            Some(Names::PerfMap(_, map)) => map.symbolize(address),
            Some(Names::TooMany) => Symbol::Unknown(UnknownReason::PerfMapTooLarge),
            None => Symbol::Unknown(UnknownReason::JitWithoutPerfMap),
        }
    }

    /// Where the names of all code come from that was made at run time: what tells least, as it is
    /// said once for all programs.
    pub(super) fn source(&self) -> SymbolSource {
        let has = |wanted: fn(&Names) -> bool| self.0.values().any(wanted);
        match () {
            () if has(|names| matches!(names, Names::PerfMap(..))) => SymbolSource::PerfMap,
            () if has(|names| matches!(names, Names::Dump(_))) => SymbolSource::JitDump,
            () if has(|names| matches!(names, Names::TooMany)) => {
                SymbolSource::None(UnknownReason::PerfMapTooLarge)
            }
            () => SymbolSource::None(UnknownReason::JitWithoutPerfMap),
        }
    }
}

impl Names {
    fn update(&mut self) {
        let what = match self {
            Self::Dump(dump) => dump.update().map_err(anyhow::Error::from),
            Self::PerfMap(file, map) => map.update(file).map_err(anyhow::Error::from),
            Self::TooMany => Ok(()),
        };
        if let Err(error) = what {
            tracing::debug!(%error, "names of a runtime can't be read");
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Self::Dump(dump) => dump.memory_bytes(),
            Self::PerfMap(_, map) => map.memory_bytes(),
            Self::TooMany => 0,
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
    use std::{io::Write as _, path::PathBuf};

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

    fn empty() -> File {
        tempfile::tempfile().expect("a file")
    }

    #[test]
    fn without_a_name_the_reason_is_said() {
        let mut names = JitNames::default();
        let said = |names: &JitNames| match names.symbolize(1, 2) {
            Symbol::Unknown(reason) => (reason, names.source()),
            Symbol::Known(_) => panic!("nothing is known"),
        };
        let without = UnknownReason::JitWithoutPerfMap;
        assert_eq!(said(&names), (without, SymbolSource::None(without)));
        names.add(1, JitFile::PerfMap(empty()));
        assert_eq!(said(&names), (UnknownReason::NotInPerfMap, SymbolSource::PerfMap));
        names.add(1, JitFile::Dump(empty()));
        assert_eq!(said(&names), (UnknownReason::NotInJitDump, SymbolSource::JitDump));
        names.add(1, JitFile::PerfMap(empty()));
        assert_eq!(said(&names).0, UnknownReason::NotInJitDump, "the better one stays");
        names.retain(&[2]);
        assert_eq!(said(&names).0, without);
    }

    #[test]
    fn who_tells_the_most_is_let_go_when_all_together_are_too_many() {
        let map = |functions: u64| {
            let mut file = empty();
            for function in 0..functions {
                writeln!(file, "{:x} 1 f", function * 16).expect("written");
            }
            JitFile::PerfMap(file)
        };
        let mut names = JitNames::default();
        for (serial, functions) in [(1, 10), (2, 1000), (3, 10)] {
            names.add(serial, map(functions));
        }
        names.update(|_| true);
        names.shrink(20_000);
        let known = |serial| matches!(names.symbolize(serial, 0), Symbol::Known(_));
        assert_eq!([1, 2, 3].map(known), [true, false, true]);
        let reason = Symbol::Unknown(UnknownReason::PerfMapTooLarge);
        assert_eq!(names.symbolize(2, 0), reason);
    }
}
