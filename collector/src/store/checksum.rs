//! The checksum by which a file is known to be what was written: Parquet's own pages have none.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use crc32fast::Hasher;

/// Passes bytes on to a file and adds them up.
pub(super) struct Checksummed {
    file: File,
    hasher: Hasher,
}

impl Checksummed {
    pub(super) fn new(file: File) -> Self {
        Self { file, hasher: Hasher::new() }
    }

    /// The file, and the CRC32 of what was written to it.
    pub(super) fn finish(self) -> (File, u32) {
        (self.file, self.hasher.finalize())
    }
}

impl Write for Checksummed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// CRC32 of a whole file.
pub(super) fn of_file(path: &Path) -> io::Result<u32> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new();
    let mut chunk = vec![0; 256 << 10];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher.finalize()),
            read => hasher.update(&chunk[..read]),
        }
    }
}
