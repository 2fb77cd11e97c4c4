//! What the unwinder needs of the memory that it shares with the kernel side: a trait each, so that
//! tests need no kernel.

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
    /// Makes a process known, or known again. Whether there was room.
    fn insert(&mut self, pid: u32, code: ProcessCode) -> bool;
    /// Forgets a process.
    fn remove(&mut self, pid: u32);
}

#[cfg(test)]
pub(super) mod in_memory {
    use std::collections::HashMap;

    use super::{ProcessCode, Processes, SharedBytes, SharedRecords};

    impl SharedBytes for Vec<u8> {
        fn size(&self) -> usize {
            self.len()
        }

        fn write(&mut self, at: usize, bytes: &[u8]) {
            self[at..at + bytes.len()].copy_from_slice(bytes);
        }

        fn write_u32(&mut self, at: usize, value: u32) {
            SharedBytes::write(self, at, &value.to_ne_bytes());
        }

        fn u8(&self, at: usize) -> u8 {
            self[at]
        }

        fn u16(&self, at: usize) -> u16 {
            u16::from_ne_bytes([self[at], self[at + 1]])
        }

        fn u32(&self, at: usize) -> u32 {
            u32::from_ne_bytes([self[at], self[at + 1], self[at + 2], self[at + 3]])
        }
    }

    impl<T> SharedRecords<T> for Vec<T> {
        fn size(&self) -> usize {
            self.len()
        }

        fn set(&mut self, at: usize, value: T) {
            self[at] = value;
        }
    }

    impl Processes for HashMap<u32, ProcessCode> {
        fn insert(&mut self, pid: u32, code: ProcessCode) -> bool {
            self.insert(pid, code);
            true
        }

        fn remove(&mut self, pid: u32) {
            self.remove(&pid);
        }
    }
}
