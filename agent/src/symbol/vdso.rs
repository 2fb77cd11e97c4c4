//! The vDSO: code that the kernel maps into every process, without a file. Read once, from our own
//! memory, because every process has the same.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::elf::{ElfError, ElfFile};
use super::image::Image;

/// The image has two pages today.
const MAX_IMAGE: u64 = 1 << 20;
/// Text of `/proc/self/maps`, in bytes; ours has some ten kilobytes.
const MAX_MAPS: u64 = 16 << 20;

/// Why there is no vDSO to take names from.
#[derive(Debug, thiserror::Error)]
pub enum VdsoError {
    /// The kernel was started with `vdso=0`, or the machine has none.
    #[error("this process has no vDSO")]
    Absent,
    /// Our own memory cannot be read.
    #[error("reading our own memory")]
    Io(#[from] io::Error),
    /// Its image is not what it should be.
    #[error(transparent)]
    Elf(#[from] ElfError),
}

/// Reads the vDSO of this process. Offsets into a `[vdso]` mapping are its file offsets.
///
/// # Errors
/// Says why it cannot be had.
pub fn read_own() -> Result<ElfFile, VdsoError> {
    let mut maps = String::new();
    File::open("/proc/self/maps")?.take(MAX_MAPS).read_to_string(&mut maps)?;
    let (start, end) = maps.lines().find_map(vdso_range).ok_or(VdsoError::Absent)?;
    let size = end.saturating_sub(start).min(MAX_IMAGE);
    let mut image = vec![0; usize::try_from(size).map_err(|_| VdsoError::Absent)?];
    File::open("/proc/self/mem")?.read_exact_at(&mut image, start)?;
    Ok(ElfFile::parse(Image::from_bytes(image))?)
}

/// Start and end address if the line of `/proc/PID/maps` is the vDSO's.
fn vdso_range(line: &str) -> Option<(u64, u64)> {
    let addresses = line.strip_suffix("[vdso]")?.split_ascii_whitespace().next()?;
    let (start, end) = addresses.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol::FileOffset;
    use crate::symbol::elf::ElfSymbols;

    #[test]
    fn the_line_of_the_vdso_is_told_from_others() {
        let line =
            "7ffd1a3f2000-7ffd1a3f4000 r-xp 00000000 00:00 0                          [vdso]";
        assert_eq!(vdso_range(line), Some((0x7ffd_1a3f_2000, 0x7ffd_1a3f_4000)));
        assert_eq!(vdso_range("7ffd1a3f2000-7ffd1a3f4000 r--p 00000000 00:00 0 [vvar]"), None);
    }

    #[test]
    fn our_own_vdso_names_its_functions() {
        let elf = match read_own() {
            // Some sandboxes have none.
            Err(VdsoError::Absent) => return,
            other => other.expect("our own memory is readable"),
        };
        let svma = |offset| elf.svma_of(FileOffset(offset));
        let mut symbols = ElfSymbols::new(elf.clone());
        let names: Vec<String> = (0..elf.image().size_bytes())
            .filter_map(|offset| symbols.name(svma(offset)?).expect("the vDSO has symbols"))
            .collect();
        assert!(names.iter().any(|name| name.contains("clock_gettime")), "{names:?}");
    }
}
