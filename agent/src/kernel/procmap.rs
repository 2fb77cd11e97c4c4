//! `PROCMAP_QUERY`, which kernels have from 6.11 on: one region of a process at a time, without the
//! text of all of them. Layout: `struct procmap_query` in `include/uapi/linux/fs.h`.

use std::{fs::File, io, os::fd::AsRawFd as _, path::Path};

use crate::record::{Inode, MappedRegion};

/// `struct procmap_query`.
#[repr(C)]
#[derive(Default)]
struct Query {
    size: u64,
    flags: u64,
    address: u64,
    start: u64,
    end: u64,
    permissions: u64,
    page_size: u64,
    file_offset: u64,
    inode: u64,
    device: [u32; 2],
    name_size: u32,
    build_id_size: u32,
    name: u64,
    build_id: u64,
}

/// `_IOWR('f', 17, struct procmap_query)`.
const PROCMAP_QUERY: u64 = 0xc068_6611;
const _: () = assert!(size_of::<Query>() == 0x68, "the request's number says so");

const EXECUTABLE: u64 = 0x04;
const COVERING_OR_NEXT: u64 = 0x10;

/// The longest name that the kernel gives: `PATH_MAX`.
const NAME_BYTES: usize = 4096;

/// `/proc/PID/maps`, to be asked for executable regions.
pub struct ProcMap {
    maps: File,
    name: Box<[u8; NAME_BYTES]>,
}

impl ProcMap {
    /// Opens `/proc/PID/maps`. That the kernel has the query shows with the first.
    ///
    /// # Errors
    /// If the process is gone, or not ours to look at.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { maps: File::open(path)?, name: Box::new([0; NAME_BYTES]) })
    }

    /// The executable region around an address, if there is one.
    ///
    /// # Errors
    /// If the kernel does not have the query (see [`is_unknown`]), or the process is gone.
    pub fn around(&mut self, address: u64) -> io::Result<Option<MappedRegion>> {
        self.ask(address, EXECUTABLE)
    }

    /// The executable region around an address, or the first behind it.
    ///
    /// # Errors
    /// As for [`Self::around`].
    pub fn around_or_behind(&mut self, address: u64) -> io::Result<Option<MappedRegion>> {
        self.ask(address, EXECUTABLE | COVERING_OR_NEXT)
    }

    fn ask(&mut self, address: u64, flags: u64) -> io::Result<Option<MappedRegion>> {
        let mut query = Query {
            size: size_of::<Query>() as u64,
            flags,
            address,
            name_size: u32::try_from(NAME_BYTES).unwrap_or(u32::MAX),
            name: self.name.as_mut_ptr() as u64,
            ..Query::default()
        };
        // SAFETY: the descriptor is open; the kernel writes to `query`, whose size it is told, and at
        // most `name_size` bytes to `name`. Both live until the call is over.
        let status =
            unsafe { libc::ioctl(self.maps.as_raw_fd(), PROCMAP_QUERY as _, &raw mut query) };
        if status < 0 {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(libc::ENOENT) { Ok(None) } else { Err(error) };
        }
        // The kernel counts the zero at the end.
        let length = (query.name_size as usize).saturating_sub(1).min(NAME_BYTES);
        Ok(Some(MappedRegion {
            start: query.start,
            end: query.end,
            file_offset: query.file_offset,
            inode: Inode { device: query.device.into(), number: query.inode },
            path: String::from_utf8_lossy(&self.name[..length]).into_owned(),
        }))
    }
}

/// Whether an error says that the kernel does not have the query.
#[must_use]
pub fn is_unknown(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOTTY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_map_does_not_know_the_query() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let error = ProcMap::open(file.path()).expect("there").around(0).expect_err("no map");
        assert!(is_unknown(&error), "{error}");
    }
}
