//! One perf event of the kernel: opening it, hanging a program on it, reading its ring.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
    sync::atomic::{Ordering, fence},
};

use aya_obj::generated::{
    PERF_EVENT_IOC_DISABLE, PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_SET_BPF, PERF_FLAG_FD_CLOEXEC,
    perf_event_attr, perf_event_mmap_page,
};

/// An open perf event of one CPU. Closing it detaches what hangs on it: the kernel does that too
/// when the process is killed.
pub(super) struct PerfEvent(OwnedFd);

impl PerfEvent {
    /// Opens an event for every process on `cpu`.
    pub(super) fn open(mut attr: perf_event_attr, cpu: u32) -> io::Result<Self> {
        attr.size = u32::try_from(size_of::<perf_event_attr>()).expect("a small struct");
        let every_process = -1;
        let no_group = -1;
        // SAFETY: `attr` is a whole `perf_event_attr` whose size field says so; the kernel only
        // reads it.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const attr,
                every_process,
                cpu,
                no_group,
                PERF_FLAG_FD_CLOEXEC,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = i32::try_from(fd).expect("file descriptors are ints");
        // SAFETY: the kernel just returned this descriptor, and nobody else knows it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Runs `program` whenever the event fires.
    pub(super) fn attach(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        self.control(PERF_EVENT_IOC_SET_BPF, program.as_raw_fd())
    }

    /// Starts the event.
    pub(super) fn enable(&self) -> io::Result<()> {
        self.control(PERF_EVENT_IOC_ENABLE, 0)
    }

    /// Stops the event.
    pub(super) fn disable(&self) -> io::Result<()> {
        self.control(PERF_EVENT_IOC_DISABLE, 0)
    }

    fn control(&self, request: u32, argument: i32) -> io::Result<()> {
        // SAFETY: the requests used here take an integer, and the descriptor is a perf event's.
        let status = unsafe { libc::ioctl(self.0.as_raw_fd(), request.into(), argument) };
        if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl AsFd for PerfEvent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The ring of records behind a perf event, shared with the kernel:
///
/// ```text
///  page 0            pages 1 ..= 2^n
///  ┌──────────────┬──────────────────────────────────────┐
///  │ head, tail   │ records: header, body, header, …     │  the kernel writes at head % size,
///  └──────────────┴──────────────────────────────────────┘  we free up to tail % size
/// ```
pub(super) struct PerfRing {
    event: PerfEvent,
    base: ptr::NonNull<perf_event_mmap_page>,
    mapped_bytes: usize,
    data: ptr::NonNull<u8>,
    data_bytes: usize,
    record: Vec<u8>,
}

// SAFETY: the mapping belongs to this value alone and is not bound to a thread.
unsafe impl Send for PerfRing {}

impl PerfRing {
    /// Maps a ring of `pages` pages of data, a power of two, for `event`.
    pub(super) fn map(event: PerfEvent, pages: usize) -> io::Result<Self> {
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).map_err(|_| io::Error::last_os_error())?;
        let mapped_bytes = (1 + pages) * page;
        // SAFETY: a new shared mapping at an address of the kernel's choice touches no memory of
        // ours.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                mapped_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                event.as_fd().as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = ptr::NonNull::new(base.cast::<perf_event_mmap_page>())
            .ok_or_else(|| io::Error::other("the kernel mapped a perf ring at address 0"))?;
        // SAFETY: the data begins one page after the start of the mapping made above.
        let data = unsafe { base.cast::<u8>().add(page) };
        Ok(Self { event, base, mapped_bytes, data, data_bytes: pages * page, record: Vec::new() })
    }

    /// The event behind the ring.
    pub(super) fn event(&self) -> &PerfEvent {
        &self.event
    }

    /// Gives every record that is there to `each`, and frees it.
    pub(super) fn drain(&mut self, mut each: impl FnMut(&[u8])) {
        let head = self.head();
        let mut tail = self.tail();
        while head.wrapping_sub(tail) >= RECORD_HEADER_BYTES as u64 {
            self.copy(tail, RECORD_HEADER_BYTES);
            let size = usize::from(u16::from_ne_bytes([self.record[6], self.record[7]]));
            if size < RECORD_HEADER_BYTES || size as u64 > head.wrapping_sub(tail) {
                // The kernel never writes this; without the size, the next record can't be found.
                tail = head;
                break;
            }
            self.copy(tail, size);
            each(&self.record);
            tail = tail.wrapping_add(size as u64);
        }
        self.free_up_to(tail);
    }

    /// Copies `bytes` bytes at ring position `at` to `self.record`: a record may wrap around.
    fn copy(&mut self, at: u64, bytes: usize) {
        let start = usize::try_from(at % self.data_bytes as u64).expect("below the ring's size");
        let first = bytes.min(self.data_bytes - start);
        self.record.resize(bytes, 0);
        // SAFETY: `start + first` is at most `data_bytes`, the length of the mapping's data; the
        // kernel does not write to records between tail and head.
        unsafe {
            ptr::copy_nonoverlapping(
                self.data.as_ptr().add(start),
                self.record.as_mut_ptr(),
                first,
            );
        }
        // SAFETY: the rest, shorter than the ring, is at its start; `record` has room for both.
        unsafe {
            ptr::copy_nonoverlapping(
                self.data.as_ptr(),
                self.record.as_mut_ptr().add(first),
                bytes - first,
            );
        }
    }

    fn head(&self) -> u64 {
        // SAFETY: `base` points to the ring's control page for as long as `self` lives.
        let head = unsafe { (&raw const (*self.base.as_ptr()).data_head).read_volatile() };
        // Pairs with the barrier before the kernel's store of the head (`perf_output_put_handle` in
        // kernel/events/ring_buffer.c): what we read after it is what was written before it.
        fence(Ordering::Acquire);
        head
    }

    fn tail(&self) -> u64 {
        // SAFETY: as in `head`; only we write the tail.
        unsafe { (&raw const (*self.base.as_ptr()).data_tail).read_volatile() }
    }

    fn free_up_to(&mut self, tail: u64) {
        // Our reads of the records come before the kernel may overwrite them.
        fence(Ordering::SeqCst);
        // SAFETY: as in `head`; only we write the tail.
        unsafe { (&raw mut (*self.base.as_ptr()).data_tail).write_volatile(tail) };
    }
}

/// Bytes of `struct perf_event_header`; its size field is in the last two.
const RECORD_HEADER_BYTES: usize = 8;

impl Drop for PerfRing {
    fn drop(&mut self) {
        // SAFETY: unmaps what `map` mapped; no reference into it outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.mapped_bytes) };
    }
}
