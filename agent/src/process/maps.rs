//! `/proc/PID/maps`, line by line: the executable regions only.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    path::Path,
};

use crate::record::{Inode, MappedRegion};

/// A process may have 65,530 mappings by default; each line is some 100 bytes.
const MAX_BYTES: u64 = 64 << 20;

/// Reads the executable regions of a process.
///
/// # Errors
/// If the file can't be read, as when the process is gone. A line that makes no sense is skipped.
pub(super) fn read(path: &Path) -> io::Result<Vec<MappedRegion>> {
    let mut reader = BufReader::new(File::open(path)?.take(MAX_BYTES));
    let mut regions = Vec::new();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        regions.extend(parse(&String::from_utf8_lossy(&line)));
        line.clear();
    }
    Ok(regions)
}

/// `start-end rwxp offset major:minor inode   path`, the path being all the rest of the line.
fn parse(line: &str) -> Option<MappedRegion> {
    let (range, rest) = line.trim_end_matches('\n').split_once(' ')?;
    let (permissions, rest) = rest.split_once(' ')?;
    if permissions.as_bytes().get(2) != Some(&b'x') {
        return None;
    }
    let (offset, rest) = rest.split_once(' ')?;
    let (device, rest) = rest.split_once(' ')?;
    let (inode, path) = rest.split_once(' ').unwrap_or((rest, ""));
    let (start, end) = range.split_once('-')?;
    let (major, minor) = device.split_once(':')?;
    Some(MappedRegion {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        file_offset: u64::from_str_radix(offset, 16).ok()?,
        inode: Inode {
            device: (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?),
            number: inode.parse().ok()?,
        },
        path: path.trim_start().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_executable_region_is_taken_with_its_file() {
        let line = "7f1-7f9 r-xp 00026000 fe:01 3412   /usr/lib/with space/libc.so.6 (deleted)\n";
        let region = parse(line).expect("a region");
        assert_eq!((region.start, region.end, region.file_offset), (0x7f1, 0x7f9, 0x26000));
        assert_eq!((region.inode.device, region.inode.number), ((0xfe, 1), 3412));
        assert_eq!(region.path, "/usr/lib/with space/libc.so.6 (deleted)");
    }

    #[test]
    fn memory_without_a_file_has_an_empty_path() {
        let region = parse("10-20 rwxp 00000000 00:00 0 \n").expect("a region");
        assert_eq!((region.inode.number, region.path.as_str()), (0, ""));
    }

    #[test]
    fn data_and_broken_lines_are_skipped() {
        for line in ["10-20 rw-p 0 00:00 0 /x\n", "", "10-20\n", "zz-20 r-xp 0 00:00 0 \n", "\n"] {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }
}
