//! Bounded reads from a file or a copy of memory. Knows positions and limits, not what they hold.
//!
//! A mapped file that its owner truncates kills the reader with SIGBUS, and every process on the
//! host can do that to a file it owns. So nothing here is ever mapped: bytes are read by position
//! into buffers of ours, each no larger than a limit given at the call. A file that shrinks or
//! changes between two reads yields an error or nonsense of bounded size.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use object::pod;

/// Why bytes could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A directory, pipe or device.
    #[error("not a regular file")]
    NotAFile,
    /// The kernel refused.
    #[error("the file cannot be read: {0}")]
    Io(io::ErrorKind),
    /// More than anybody honest needs.
    #[error("{what} has {size} bytes, more than {limit}")]
    TooLarge {
        /// What was to be read.
        what: &'static str,
        /// Its size in bytes as the file states it.
        size: u64,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// The file promises bytes that it does not have.
    #[error("{what} reaches past the end of the file")]
    Truncated {
        /// What was to be read.
        what: &'static str,
    },
}

/// The bytes of one binary, read when asked for. Cheap to clone; all clones share one descriptor.
#[derive(Clone, Debug)]
pub struct Image {
    source: Arc<Source>,
    size_bytes: u64,
}

#[derive(Debug)]
enum Source {
    File(File),
    Memory(Box<[u8]>),
}

impl Image {
    /// Takes a file as it is now; bytes that are appended later are not seen.
    ///
    /// # Errors
    /// Refuses what is not a regular file.
    pub fn from_file(file: File) -> Result<Self, ReadError> {
        let metadata = file.metadata().map_err(|e| ReadError::Io(e.kind()))?;
        if !metadata.is_file() {
            return Err(ReadError::NotAFile);
        }
        Ok(Self { source: Arc::new(Source::File(file)), size_bytes: metadata.len() })
    }

    /// Takes bytes that are already ours.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        let size_bytes = bytes.len() as u64;
        Self { source: Arc::new(Source::Memory(bytes.into_boxed_slice())), size_bytes }
    }

    /// Size in bytes when it was opened.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Bytes that are in memory, not in a file.
    pub(crate) fn memory_bytes(&self) -> u64 {
        match &*self.source {
            Source::File(_) => 0,
            Source::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// Says that `what` is truncated when the file has fewer bytes.
    pub fn read_into(
        &self,
        offset: u64,
        buffer: &mut [u8],
        what: &'static str,
    ) -> Result<(), ReadError> {
        match &*self.source {
            Source::File(file) => file.read_exact_at(buffer, offset).map_err(|e| match e.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => {
                    ReadError::Truncated { what }
                }
                kind => ReadError::Io(kind),
            }),
            Source::Memory(bytes) => {
                let bytes = usize::try_from(offset)
                    .ok()
                    .and_then(|start| bytes.get(start..start.checked_add(buffer.len())?))
                    .ok_or(ReadError::Truncated { what })?;
                buffer.copy_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Reads a range whole.
    ///
    /// # Errors
    /// Refuses, before anything is allocated, what is larger than `limit` or than the file.
    pub fn read(
        &self,
        range: FileRange,
        limit: u64,
        what: &'static str,
    ) -> Result<Buffer, ReadError> {
        let FileRange { offset, size } = range;
        if size > limit {
            return Err(ReadError::TooLarge { what, size, limit });
        }
        if offset.checked_add(size).is_none_or(|end| end > self.size_bytes) {
            return Err(ReadError::Truncated { what });
        }
        let size = usize::try_from(size).map_err(|_| ReadError::Truncated { what })?;
        let mut buffer = Buffer { words: vec![0; size.div_ceil(8)], size };
        self.read_into(offset, buffer.bytes_mut(), what)?;
        Ok(buffer)
    }

    /// The bytes before the next NUL at `offset`, at most `limit` of them; none past `end`.
    #[must_use]
    pub fn read_c_string(&self, offset: u64, end: u64, limit: usize) -> Option<Vec<u8>> {
        // Most names are short: one small read is enough for nearly all of them.
        for chunk in [256, limit] {
            let left = usize::try_from(end.min(self.size_bytes).checked_sub(offset)?).ok()?;
            let mut bytes = vec![0; chunk.min(limit).min(left)];
            self.read_into(offset, &mut bytes, "string").ok()?;
            if let Some(length) = bytes.iter().position(|&byte| byte == 0) {
                bytes.truncate(length);
                return Some(bytes);
            }
            if bytes.len() == left || bytes.len() == limit {
                return Some(bytes);
            }
        }
        None
    }
}

/// A piece of a file, as the file itself states it: it may reach past its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileRange {
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub size: u64,
}

/// Bytes aligned for 8-byte records, so that they can be seen as ELF structures.
#[derive(Debug)]
pub struct Buffer {
    words: Vec<u64>,
    size: usize,
}

impl Buffer {
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut pod::bytes_of_slice_mut(&mut self.words)[..self.size]
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &pod::bytes_of_slice(&self.words)[..self.size]
    }
}
