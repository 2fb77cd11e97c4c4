//! Shared memory with nobody on the other side: for tests, and for walks in our own memory.

use std::{collections::HashMap, hash::BuildHasher};

use sonde_ebpf::unwind::ProcessCode;

use crate::kernel::{Processes, SharedBytes, SharedRecords};

impl SharedBytes for Vec<u8> {
    fn size(&self) -> usize {
        self.len()
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = at.checked_add(bytes.len()).and_then(|end| self.get_mut(at..end)) {
            place.copy_from_slice(bytes);
        }
    }

    fn write_u32(&mut self, at: usize, value: u32) {
        SharedBytes::write(self, at, &value.to_ne_bytes());
    }

    fn u8(&self, at: usize) -> u8 {
        self.get(at).copied().unwrap_or(0)
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_ne_bytes([0, 1].map(|byte| SharedBytes::u8(self, at.saturating_add(byte))))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes([0, 1, 2, 3].map(|byte| SharedBytes::u8(self, at.saturating_add(byte))))
    }
}

impl<T> SharedRecords<T> for Vec<T> {
    fn size(&self) -> usize {
        self.len()
    }

    fn set(&mut self, at: usize, value: T) {
        if let Some(place) = self.get_mut(at) {
            *place = value;
        }
    }
}

impl<S: BuildHasher> Processes for HashMap<u32, ProcessCode, S> {
    fn insert(&mut self, pid: u32, code: ProcessCode, _known_until_ns: u64) -> bool {
        self.insert(pid, code);
        true
    }

    fn remove(&mut self, pid: u32) {
        self.remove(&pid);
    }
}
