//! What reading debug information may cost: bytes and depth, checked at each read.
//!
//! Everything that parsing makes is made from bytes read, so counting them bounds memory and time.
//! Recursion is bounded by looking where the stack is: the parser follows nested inlined functions
//! by calling itself, and a file of a few kilobytes can nest them deep enough to run out of stack.

use std::hint::black_box;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::DebugInfoLoss;

/// Stack that a lookup may use, in bytes: several hundred nested functions.
const STACK_BYTES: usize = 512 << 10;
/// Memory of the parsed form for each byte read to open a file as a whole, measured on glibc's debug
/// file. It is mostly the abbreviations of each unit, which are all kept.
const KEPT_PER_READ_TO_OPEN: u64 = 6;
/// Memory of the parsed form for each byte read in lookups, measured on a Rust program.
const KEPT_PER_READ: u64 = 2;

/// Counts for all sections of one file. Atomics only make it shareable: one thread uses it.
#[derive(Debug)]
pub(super) struct Meter {
    read_limit: u64,
    read: AtomicU64,
    resident: AtomicU64,
    /// Lowest address the stack may grow down to.
    stack_floor: AtomicUsize,
    exceeded: AtomicU8,
}

impl Meter {
    pub(super) fn new(read_limit: u64) -> Self {
        Self {
            read_limit,
            read: AtomicU64::new(0),
            resident: AtomicU64::new(0),
            stack_floor: AtomicUsize::new(0),
            exceeded: AtomicU8::new(0),
        }
    }

    /// Counts anew from here on: only `bytes` of memory are left of what was read so far.
    pub(super) fn reset(&self, bytes: usize) {
        self.read.store(0, Relaxed);
        self.resident.store(bytes as u64, Relaxed);
    }

    /// What was read so far is kept in parsed form; the limit counts from here on.
    pub(super) fn keep(&self) {
        let read = self.read.swap(0, Relaxed);
        self.resident.fetch_add(read * KEPT_PER_READ_TO_OPEN, Relaxed);
    }

    /// How much was read, and so counts, so far.
    pub(super) fn mark(&self) -> u64 {
        self.read.load(Relaxed)
    }

    /// Nothing is kept of what was read since the mark.
    pub(super) fn forget_since(&self, mark: u64) {
        self.read.store(mark, Relaxed);
    }

    /// Whether anything was read since the last reset.
    pub(super) fn has_read(&self) -> bool {
        self.read.load(Relaxed) > 0
    }

    /// Measures depth from here on.
    pub(super) fn start(&self) {
        self.stack_floor.store(stack_position().saturating_sub(STACK_BYTES), Relaxed);
        self.exceeded.store(0, Relaxed);
    }

    /// Accounts for a read before it happens.
    #[inline]
    pub(super) fn read(&self, bytes: usize) -> gimli::Result<()> {
        let read = self.read.load(Relaxed) + bytes as u64;
        self.read.store(read, Relaxed);
        if read > self.read_limit {
            return Err(self.exceed(1));
        }
        if stack_position() < self.stack_floor.load(Relaxed) {
            return Err(self.exceed(2));
        }
        Ok(())
    }

    #[cold]
    fn exceed(&self, reason: u8) -> gimli::Error {
        self.exceeded.store(reason, Relaxed);
        gimli::Error::Io
    }

    /// Accounts for memory that holds bytes of a section.
    pub(super) fn hold(&self, bytes: usize) {
        self.resident.fetch_add(bytes as u64, Relaxed);
    }

    /// The limit that was met since [`Self::start`].
    pub(super) fn exceeded(&self) -> Option<DebugInfoLoss> {
        match self.exceeded.load(Relaxed) {
            0 => None,
            1 => Some(DebugInfoLoss::TooCostly),
            _ => Some(DebugInfoLoss::TooDeep),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let held = self.resident.load(Relaxed) + self.read.load(Relaxed) * KEPT_PER_READ;
        usize::try_from(held).unwrap_or(usize::MAX)
    }
}

/// The address of something on the stack. On all machines we run on it grows down.
#[inline]
fn stack_position() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(black_box(&here)).addr()
}
