//! Records of the kernel's perf rings about the life of processes: exec, fork, exit, and every
//! executable mapping. Layouts: `enum perf_event_type` in `include/uapi/linux/perf_event.h`.

use aya_obj::generated::perf_event_type::{
    PERF_RECORD_COMM, PERF_RECORD_EXIT, PERF_RECORD_FORK, PERF_RECORD_LOST, PERF_RECORD_MMAP2,
};

use super::{
    DecodeError,
    pod::{split_pod, text},
};

/// Something that happened to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessEvent {
    /// Process id as userspace says it.
    pub pid: u32,
    /// Time on `CLOCK_BOOTTIME`, in nanoseconds.
    pub boot_ns: u64,
    /// What happened.
    pub kind: ProcessEventKind,
}

/// What can happen to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessEventKind {
    /// It began to run another program: all it had mapped is gone.
    Exec {
        /// Its name from now on.
        comm: String,
    },
    /// It mapped a region executable.
    Mapped(MappedRegion),
    /// It was made as a copy of `parent`.
    Forked {
        /// Process id of the parent.
        parent: u32,
    },
    /// Its main thread ended.
    Exited,
    /// This many events of any process are missing here.
    Lost {
        /// How many.
        events: u64,
    },
}

/// One executable region of a process's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedRegion {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// Position in the file of what is at `start`.
    pub file_offset: u64,
    /// The file's identity; zeros where there is no file.
    pub inode: Inode,
    /// Path as the process sees it, or the kernel's word for memory without a file: `//anon`.
    pub path: String,
}

/// What a file is, whatever its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Inode {
    /// Major and minor number of the device.
    pub device: (u32, u32),
    /// Inode number there.
    pub number: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct RecordHeader {
    kind: u32,
    misc: u16,
    size: u16,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Mmap2 {
    pid: u32,
    tid: u32,
    start: u64,
    length: u64,
    file_offset: u64,
    major: u32,
    minor: u32,
    inode: u64,
    inode_generation: u64,
    protection: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Comm {
    pid: u32,
    tid: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Task {
    pid: u32,
    parent_pid: u32,
    tid: u32,
    parent_tid: u32,
    boot_ns: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Lost {
    id: u64,
    events: u64,
}

/// What `sample_id_all` appends to every record for `PERF_SAMPLE_TID | PERF_SAMPLE_TIME`.
#[repr(C)]
#[derive(Clone, Copy)]
struct SampleId {
    pid: u32,
    tid: u32,
    boot_ns: u64,
}

const _: () = assert!(size_of::<Mmap2>() == 64 && size_of::<Task>() == 24);

// SAFETY: all are `repr(C)` integers without padding, so every bit pattern is a valid value.
unsafe impl aya::Pod for RecordHeader {}
// SAFETY: as above.
unsafe impl aya::Pod for Mmap2 {}
// SAFETY: as above.
unsafe impl aya::Pod for Comm {}
// SAFETY: as above.
unsafe impl aya::Pod for Task {}
// SAFETY: as above.
unsafe impl aya::Pod for Lost {}
// SAFETY: as above.
unsafe impl aya::Pod for SampleId {}

/// `PERF_RECORD_MISC_COMM_EXEC`: the name changed because of an exec, not by `prctl`.
const MISC_COMM_EXEC: u16 = 1 << 13;

/// Decodes one record; `None` for records that say nothing about processes (threads, renames).
///
/// # Errors
/// If the record is shorter than its kind promises.
pub fn decode_process_event(record: &[u8]) -> Result<Option<ProcessEvent>, DecodeError> {
    let (header, body) = split_pod::<RecordHeader>(record)?;
    let need = size_of::<SampleId>();
    let Some((body, id)) = body.len().checked_sub(need).map(|at| body.split_at(at)) else {
        return Err(DecodeError::Short { got: body.len(), need });
    };
    let (SampleId { boot_ns, .. }, _) = split_pod::<SampleId>(id)?;
    let event = |pid, kind| Ok(Some(ProcessEvent { pid, boot_ns, kind }));
    match header.kind {
        kind if kind == PERF_RECORD_MMAP2 as u32 => {
            let (region, path) = split_pod::<Mmap2>(body)?;
            event(region.pid, ProcessEventKind::Mapped(mapped_region(&region, path)))
        }
        kind if kind == PERF_RECORD_COMM as u32 && header.misc & MISC_COMM_EXEC != 0 => {
            let (Comm { pid, .. }, comm) = split_pod::<Comm>(body)?;
            event(pid, ProcessEventKind::Exec { comm: text(comm) })
        }
        kind if kind == PERF_RECORD_FORK as u32 => {
            let (task, _) = split_pod::<Task>(body)?;
            // A new thread of a process that exists is not news.
            if task.pid == task.parent_pid {
                return Ok(None);
            }
            event(task.pid, ProcessEventKind::Forked { parent: task.parent_pid })
        }
        kind if kind == PERF_RECORD_EXIT as u32 => {
            let (task, _) = split_pod::<Task>(body)?;
            if task.pid != task.tid {
                return Ok(None);
            }
            event(task.pid, ProcessEventKind::Exited)
        }
        kind if kind == PERF_RECORD_LOST as u32 => {
            let (Lost { events, .. }, _) = split_pod::<Lost>(body)?;
            event(0, ProcessEventKind::Lost { events })
        }
        _ => Ok(None),
    }
}

fn mapped_region(region: &Mmap2, path: &[u8]) -> MappedRegion {
    MappedRegion {
        start: region.start,
        end: region.start.saturating_add(region.length),
        file_offset: region.file_offset,
        inode: Inode { device: (region.major, region.minor), number: region.inode },
        path: text(path),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: u32, misc: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(misc.to_ne_bytes());
        bytes.extend(u16::try_from(8 + body.len() + 16).expect("small").to_ne_bytes());
        bytes.extend(body);
        bytes.extend([0; 8]);
        bytes.extend(99_u64.to_ne_bytes());
        bytes
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn a_mapping_carries_its_region_its_file_and_its_path() {
        let mut body = words(&[5, 5, 0x1000, 0, 0x2000, 0, 0x3000, 0, 8, 1, 77, 0, 0, 0, 5, 2]);
        body.extend(b"/usr/lib/libc.so.6\0\0\0\0\0\0");
        let event =
            decode_process_event(&record(10, 0, &body)).expect("decodes").expect("an event");
        assert_eq!((event.pid, event.boot_ns), (5, 99));
        let ProcessEventKind::Mapped(region) = event.kind else { panic!("{:?}", event.kind) };
        assert_eq!((region.start, region.end, region.file_offset), (0x1000, 0x3000, 0x3000));
        assert_eq!(region.inode, Inode { device: (8, 1), number: 77 });
        assert_eq!(region.path, "/usr/lib/libc.so.6");
    }

    #[test]
    fn a_rename_is_not_an_exec() {
        let mut body = words(&[5, 5]);
        body.extend(b"worker\0\0");
        assert_eq!(decode_process_event(&record(3, 0, &body)), Ok(None));
        let event = decode_process_event(&record(3, 1 << 13, &body)).expect("decodes");
        let kind = event.expect("an event").kind;
        assert_eq!(kind, ProcessEventKind::Exec { comm: "worker".into() });
    }

    #[test]
    fn threads_are_neither_forks_nor_exits_of_a_process() {
        let thread = words(&[5, 5, 6, 5, 0, 0]);
        assert_eq!(decode_process_event(&record(7, 0, &thread)), Ok(None));
        assert_eq!(decode_process_event(&record(4, 0, &thread)), Ok(None));
        let child = decode_process_event(&record(7, 0, &words(&[9, 5, 9, 5, 0, 0])));
        let kind = child.expect("decodes").expect("an event").kind;
        assert_eq!(kind, ProcessEventKind::Forked { parent: 5 });
    }

    #[test]
    fn a_record_shorter_than_its_kind_promises_is_refused() {
        let error = decode_process_event(&record(10, 0, &words(&[5, 5]))).expect_err("refused");
        assert_eq!(error, DecodeError::Short { got: 8, need: 64 });
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(
            kind in 0_u32..20, misc: u16, body in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let _ = decode_process_event(&body);
            let _ = decode_process_event(&record(kind, misc, &body));
        }
    }
}
