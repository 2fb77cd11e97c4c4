//! Shared memory for tests: nobody is on the other side.

use std::collections::HashMap;

use sonde_ebpf::unwind::ProcessCode;

use crate::kernel::{Processes, SharedBytes, SharedRecords};

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
    fn insert(&mut self, pid: u32, code: ProcessCode, _known_until_ns: u64) -> bool {
        self.insert(pid, code);
        true
    }

    fn remove(&mut self, pid: u32) {
        self.remove(&pid);
    }
}
