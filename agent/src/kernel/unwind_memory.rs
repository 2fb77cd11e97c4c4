//! Arrays that the programs and the agent both see, mapped into our memory.

use std::{
    io,
    marker::PhantomData,
    os::fd::{AsFd as _, AsRawFd as _},
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering, fence},
};

use aya::{
    Pod,
    maps::{HashMap, Map, MapData},
};
use aya_obj::generated::BPF_EXIST;
use sonde_ebpf::unwind::{DirectoryEntry, MappedCode, ProcessCode};

use super::tables::{Processes, SharedBytes, SharedRecords, SharedTables};

/// The memory of one array map.
struct Memory {
    start: NonNull<u8>,
    size: usize,
    /// Keeps the map.
    _map: MapData,
}

// SAFETY: the memory belongs to the process, not to a thread, until it is unmapped by `drop`.
unsafe impl Send for Memory {}

impl Memory {
    /// Maps an array whose elements have `element` bytes.
    fn map(map: Map, element: usize) -> io::Result<Self> {
        let Map::Array(map) = map else { return Err(io::ErrorKind::InvalidInput.into()) };
        let info = map.info().map_err(io::Error::other)?;
        if info.value_size() as usize != element {
            return Err(io::Error::other("its elements have another size"));
        }
        let size = element * info.max_entries() as usize;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let fd = map.fd().as_fd().as_raw_fd();
        // SAFETY: a new mapping at an address of the kernel's choice; `fd` is open.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), size, protection, libc::MAP_SHARED, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, size, _map: map })
    }

    /// A pointer to `size` bytes at `at`, if they are inside.
    fn at(&self, at: usize, size: usize) -> Option<*mut u8> {
        let inside = at.checked_add(size).is_some_and(|end| end <= self.size);
        // SAFETY: `at` is inside the mapping, as was just checked.
        inside.then(|| unsafe { self.start.as_ptr().add(at) })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this size, and nobody keeps a pointer into it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.size) };
    }
}

/// The arena of pages.
pub struct SharedArena(Memory);

impl SharedBytes for SharedArena {
    fn size(&self) -> usize {
        self.0.size
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        if let Some(to) = self.0.at(at, bytes.len()) {
            // SAFETY: `to` has room for the bytes, and they lie elsewhere.
            unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        }
    }

    fn write_u32(&mut self, at: usize, value: u32) {
        // Readers who see this word see all that was written before it.
        fence(Ordering::Release);
        if let Some(word) = self.word(at) {
            word.store(value, Ordering::Relaxed);
        }
    }

    fn u8(&self, at: usize) -> u8 {
        // SAFETY: one byte inside; the programs never write to a page but its word of use.
        self.0.at(at, 1).map_or(0, |from| unsafe { from.read_volatile() })
    }

    fn u16(&self, at: usize) -> u16 {
        // SAFETY: as above, two bytes.
        self.0.at(at, 2).map_or(0, |from| unsafe { from.cast::<u16>().read_unaligned() })
    }

    fn u32(&self, at: usize) -> u32 {
        self.word(at).map_or(0, |word| word.load(Ordering::Relaxed))
    }
}

impl SharedArena {
    fn word(&self, at: usize) -> Option<&AtomicU32> {
        let word = self.0.at(at, 4).filter(|_| at.is_multiple_of(4))?;
        // SAFETY: four bytes inside, aligned because the mapping begins a page; the programs read
        // and write such words whole.
        Some(unsafe { AtomicU32::from_ptr(word.cast()) })
    }
}

/// An array of records.
pub struct SharedArray<T> {
    memory: Memory,
    records: PhantomData<T>,
}

impl<T: Pod> SharedRecords<T> for SharedArray<T> {
    fn size(&self) -> usize {
        self.memory.size / size_of::<T>()
    }

    fn set(&mut self, at: usize, value: T) {
        if let Some(to) = self.memory.at(at.saturating_mul(size_of::<T>()), size_of::<T>()) {
            fence(Ordering::Release);
            // SAFETY: `to` is an element of the array, aligned because its size is the record's.
            unsafe { to.cast::<T>().write_volatile(value) };
        }
    }
}

impl<T: Pod> SharedArray<T> {
    fn map(map: Map) -> io::Result<Self> {
        // What the kernel rounds up to 8 bytes must be a multiple of them already.
        const { assert!(size_of::<T>().is_multiple_of(8)) };
        Ok(Self { memory: Memory::map(map, size_of::<T>())?, records: PhantomData })
    }
}

/// The map of processes, and when they last became another program.
pub struct SharedProcesses {
    codes: HashMap<MapData, u32, ProcessCode>,
    execs: HashMap<MapData, u32, u64>,
}

impl Processes for SharedProcesses {
    /// The kernel side notes an exec first and then takes the process out. So whenever it comes, an
    /// empty element is found out by the note, or is no more there to be filled.
    fn insert(&mut self, pid: u32, code: ProcessCode, known_until_ns: u64) -> bool {
        if self.codes.insert(pid, ProcessCode::default(), 0).is_err() {
            return false;
        }
        if self.execs.get(&pid, 0).is_ok_and(|exec_ns| exec_ns >= known_until_ns) {
            self.remove(pid);
        } else {
            let _became_another = self.codes.insert(pid, code, u64::from(BPF_EXIST));
        }
        true
    }

    fn remove(&mut self, pid: u32) {
        // It is not there when it became another program, which the programs see themselves.
        let _absent = self.codes.remove(&pid);
    }
}

/// What unwinding shares with the programs.
pub type UnwindMemory = SharedTables<
    SharedArena,
    SharedArray<DirectoryEntry>,
    SharedArray<MappedCode>,
    SharedProcesses,
>;

/// The count of windows.
pub struct SharedEpoch(SharedArray<u64>);

impl SharedEpoch {
    /// Tells the programs what to stamp pages with.
    pub fn set(&mut self, epoch: u32) {
        self.0.set(0, epoch.into());
    }
}

/// Maps everything; `take` gives a map by name.
pub(super) fn map(
    mut take: impl FnMut(&'static str) -> io::Result<Map>,
) -> io::Result<(UnwindMemory, SharedEpoch)> {
    let codes = HashMap::try_from(take("PROCESSES")?).map_err(io::Error::other)?;
    let execs = HashMap::try_from(take("EXECS")?).map_err(io::Error::other)?;
    let arena = Memory::map(take("ARENA")?, sonde_ebpf::limits::ARENA_ELEMENT_BYTES)?;
    let memory = SharedTables {
        arena: SharedArena(arena),
        directory: SharedArray::map(take("DIRECTORY")?)?,
        mappings: SharedArray::map(take("MAPPINGS")?)?,
        processes: SharedProcesses { codes, execs },
    };
    Ok((memory, SharedEpoch(SharedArray::map(take("EPOCH")?)?)))
}
