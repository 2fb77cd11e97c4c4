//! How the records of a jitdump file are laid out. Numbers are in the byte order of the machine.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::JitDumpError;

/// Bytes of the file's own header.
pub(super) const HEADER_BYTES: usize = 40;
/// Bytes at the beginning of each record: id, size, time.
pub(super) const RECORD_BYTES: usize = 16;

/// The file's header, as far as it matters here.
pub(super) struct Head {
    /// Where the first record begins.
    pub(super) size: u64,
    reserved: u32,
}

impl Head {
    const MAGIC: u32 = 0x4a69_5444;
    /// Headers may grow, but not to this.
    const MAX_SIZE: u32 = 4096;
    /// What V8 fills the reserved field with.
    const V8_RESERVED: u32 = 0xdead_beef;

    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, JitDumpError> {
        let size = u32_at(bytes, 8);
        match (u32_at(bytes, 0), u32_at(bytes, 4)) {
            (Self::MAGIC, 1) => {}
            (Self::MAGIC, version) => return Err(JitDumpError::Version(version)),
            (magic, _) if magic.swap_bytes() == Self::MAGIC => {
                return Err(JitDumpError::OtherByteOrder);
            }
            _ => return Err(JitDumpError::NotJitDump),
        }
        if !(HEADER_BYTES..=Self::MAX_SIZE as usize).contains(&(size as usize)) {
            return Err(JitDumpError::Corrupt { at: 0, size });
        }
        Ok(Self { size: size.into(), reserved: u32_at(bytes, 16) })
    }

    /// V8 states its lines for code behind a 64-byte ELF header, which `perf inject` will put there.
    pub(super) const fn line_shift(&self) -> u64 {
        if self.reserved == Self::V8_RESERVED { 64 } else { 0 }
    }
}

/// The beginning of a record.
pub(super) struct Record {
    pub(super) id: u32,
    /// Bytes of all of it.
    pub(super) size: u32,
    time: u64,
}

impl Record {
    pub(super) const LOAD: u32 = 0;
    pub(super) const MOVE: u32 = 1;
    pub(super) const DEBUG_INFO: u32 = 2;

    pub(super) fn parse(bytes: &[u8; RECORD_BYTES]) -> Self {
        Self { id: u32_at(bytes, 0), size: u32_at(bytes, 4), time: u64_at(bytes, 8) }
    }

    /// Zeros: room that the runtime made for a record it has not written yet.
    pub(super) const fn is_unwritten(&self) -> bool {
        self.id == 0 && self.size == 0 && self.time == 0
    }
}

/// A function that was compiled; its name and its code follow.
pub(super) struct Load {
    /// Address of its code.
    pub(super) code: u64,
    /// Bytes of code.
    pub(super) size: u64,
    /// Tells it from all other functions of the process.
    pub(super) index: u64,
}

impl Load {
    /// Process, thread, two addresses, size, index.
    pub(super) const BYTES: usize = 40;

    pub(super) fn parse(bytes: &[u8; Self::BYTES]) -> Self {
        Self { code: u64_at(bytes, 16), size: u64_at(bytes, 24), index: u64_at(bytes, 32) }
    }
}

/// A function whose code was moved.
pub(super) struct Move {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Bytes of code.
    pub(super) size: u64,
    pub(super) index: u64,
}

impl Move {
    /// Process, thread, an address, from, to, size, index.
    pub(super) const BYTES: usize = 48;

    pub(super) fn parse(bytes: &[u8; Self::BYTES]) -> Self {
        Self {
            from: u64_at(bytes, 16),
            to: u64_at(bytes, 24),
            size: u64_at(bytes, 32),
            index: u64_at(bytes, 40),
        }
    }
}

/// Four bytes of a record whose size the caller's type states.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_ne_bytes(*word))
}

/// As [`u32_at`], eight bytes.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u64::from_ne_bytes(*word))
}

/// Reads small pieces of a file that mostly follow each other.
pub(super) struct ByteReader {
    bytes: Vec<u8>,
    /// What of `bytes` is from the file, and from where on.
    length: usize,
    start: u64,
}

impl ByteReader {
    pub(super) fn new(chunk: usize) -> Self {
        Self { bytes: vec![0; chunk], length: 0, start: 0 }
    }

    /// The bytes at a position; none if the file ends before them.
    pub(super) fn get<const SIZE: usize>(
        &mut self,
        file: &File,
        at: u64,
    ) -> io::Result<Option<&[u8; SIZE]>> {
        let held = at.checked_sub(self.start).and_then(|into| usize::try_from(into).ok());
        let held = held.filter(|into| into.saturating_add(SIZE) <= self.length);
        let into = match held {
            Some(into) => into,
            None => {
                self.length = file.read_at(&mut self.bytes, at)?;
                self.start = at;
                0
            }
        };
        Ok(self.bytes[..self.length].get(into..).and_then(<[u8]>::first_chunk))
    }
}
