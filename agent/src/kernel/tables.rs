//! The memory that unwinding shares with the kernel side, as the unwinder sees it: a trait each, so
//! that its tests need no kernel.

use sonde_ebpf::unwind::ProcessCode;

/// The arena's bytes.
pub trait SharedBytes {
    /// How many.
    fn size(&self) -> usize;
    /// Writes `bytes` at `at`; out of bounds it does nothing.
    fn write(&mut self, at: usize, bytes: &[u8]);
    /// Writes a word that the other side may read at the same time. `at` is a multiple of four.
    fn write_u32(&mut self, at: usize, value: u32);
    /// One byte; 0 out of bounds.
    fn u8(&self, at: usize) -> u8;
    /// Two bytes; `at` is even.
    fn u16(&self, at: usize) -> u16;
    /// Four bytes, also while the other side writes them. `at` is a multiple of four.
    fn u32(&self, at: usize) -> u32;
}

/// An array of records.
pub trait SharedRecords<T> {
    /// Elements.
    fn size(&self) -> usize;
    /// Replaces an element; out of bounds it does nothing.
    fn set(&mut self, at: usize, value: T);
}

/// The processes whose code the kernel side knows.
pub trait Processes {
    /// Makes a process known, or known again, unless it became another program at or after a time (boot
    /// time). Whether there was room.
    fn insert(&mut self, pid: u32, code: ProcessCode, known_until_ns: u64) -> bool;
    /// Forgets a process.
    fn remove(&mut self, pid: u32);
}

/// The memory that both sides see.
pub struct SharedTables<M, D, R, P> {
    /// Pages.
    pub arena: M,
    /// Where the pages are.
    pub directory: D,
    /// Where code is mapped.
    pub mappings: R,
    /// Which processes are known.
    pub processes: P,
}
