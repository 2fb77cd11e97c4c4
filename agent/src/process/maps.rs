//! The executable regions of a process, from `/proc/PID/maps`: asked for one by one where the kernel
//! lets us, else read line by line.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    path::Path,
};

use crate::{
    kernel::{ProcMap, is_unknown},
    record::{Inode, MappedRegion},
};

/// More regions than any process has; who has more has the first of them looked at.
const MAX_REGIONS: usize = 1 << 18;

/// The executable regions of a process.
///
/// # Errors
/// If they can't be read, as when the process is gone.
pub(super) fn read(path: &Path) -> io::Result<Vec<MappedRegion>> {
    match by_queries(path) {
        // The kernel is too old, or has a path that is too long for an answer.
        Err(error) if is_unknown(&error) || error.raw_os_error() == Some(libc::ENAMETOOLONG) => {
            as_text(path)
        }
        regions => regions,
    }
}

/// Goes from one executable region to the next: what else is mapped costs the kernel a look only.
///
/// # Errors
/// If the kernel does not have the query, or the process is gone.
pub fn by_queries(path: &Path) -> io::Result<Vec<MappedRegion>> {
    let mut maps = ProcMap::open(path)?;
    let mut regions: Vec<MappedRegion> = Vec::new();
    let mut address = 0;
    while regions.len() < MAX_REGIONS
        && let Some(region) = maps.around_or_behind(address)?
        && region.end > address
    {
        address = region.end;
        regions.push(region);
    }
    Ok(regions)
}

/// A process may have 65,530 mappings by default; each line is some 100 bytes.
const MAX_BYTES: u64 = 64 << 20;

/// Reads the text of all regions. A line that makes no sense is skipped.
///
/// # Errors
/// If the file can't be read, as when the process is gone.
pub fn as_text(path: &Path) -> io::Result<Vec<MappedRegion>> {
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
    use super::*;

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

    /// Where the kernel has no queries, as before 6.11, there is nothing to compare.
    #[test]
    fn queries_say_what_the_text_says() {
        let path = Path::new("/proc/self/maps");
        let queried = match by_queries(path) {
            Err(error) if is_unknown(&error) => return,
            queried => queried.expect("our own regions"),
        };
        let mut read = as_text(path).expect("our own regions");
        // No memory of the process: the same page for all, above everybody's.
        read.retain(|region| region.path != "[vsyscall]");
        assert!(read.len() > 2 && read.iter().any(|region| region.path == "[vdso]"));
        assert_eq!(queried, read);
    }

    #[test]
    fn data_and_broken_lines_are_skipped() {
        for line in ["10-20 rw-p 0 00:00 0 /x\n", "", "10-20\n", "zz-20 r-xp 0 00:00 0 \n", "\n"] {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }
}
