//! Separate debug files, as distributions ship them. Finds and checks one; never downloads.
//!
//! Two ways lead there. The build id: `DIR/.build-id/ab/cdef….debug`. Or `.gnu_debuglink`, a file
//! name and a checksum, beside the binary or under `DIR`. A file that was found counts only if its
//! build id is the same, or, where one has none, if its checksum is the stated one.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use object::Endian;

use super::ElfFile;
use crate::symbol::image::{FileRange, Image};

/// A file name and a checksum.
const MAX_DEBUG_LINK: u64 = 4 << 10;
/// Files above this are not read through for their checksum.
const MAX_CHECKSUMMED: u64 = 512 << 20;

struct DebugLink {
    name: PathBuf,
    checksum: u32,
}

/// The debug file of `elf`, which its process sees as `path`.
pub(crate) fn find_debug_file(
    elf: &ElfFile,
    path: &Path,
    directories: &[PathBuf],
) -> Option<ElfFile> {
    by_build_id(elf, directories).or_else(|| by_link(elf, path, directories))
}

fn by_build_id(elf: &ElfFile, directories: &[PathBuf]) -> Option<ElfFile> {
    let (first, rest) = elf.build_id().split_at_checked(2)?;
    directories.iter().find_map(|directory| {
        let file = directory.join(".build-id").join(first).join(format!("{rest}.debug"));
        let debug = ElfFile::open(open_regular(&file)?).ok()?;
        (debug.build_id() == elf.build_id()).then_some(debug)
    })
}

fn by_link(elf: &ElfFile, path: &Path, directories: &[PathBuf]) -> Option<ElfFile> {
    let link = debug_link(elf)?;
    let beside = path.parent().filter(|directory| directory.is_absolute())?;
    let under = |root: &PathBuf| Some(root.join(beside.strip_prefix("/").ok()?).join(&link.name));
    let candidates = [beside.join(&link.name), beside.join(".debug").join(&link.name)];
    candidates
        .into_iter()
        .chain(directories.iter().filter_map(under))
        .filter_map(|candidate| ElfFile::open(open_regular(&candidate)?).ok())
        .find(|debug| belongs(elf, debug, link.checksum))
}

/// The process chose the path, so it may be anything: opening must neither block nor act.
pub(crate) fn open_regular(path: &Path) -> Option<File> {
    let is_file = |metadata: std::fs::Metadata| metadata.is_file();
    if !std::fs::metadata(path).is_ok_and(is_file) {
        return None;
    }
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    file.metadata().is_ok_and(is_file).then_some(file)
}

fn debug_link(elf: &ElfFile) -> Option<DebugLink> {
    let section = elf.section(".gnu_debuglink").filter(|section| section.has_bytes())?;
    let bytes = elf.image.read(section.file, MAX_DEBUG_LINK, "debug link").ok()?;
    let length = bytes.iter().position(|&byte| byte == 0)?;
    let name = std::str::from_utf8(&bytes[..length]).ok()?;
    // A name, not a path: it may not lead elsewhere.
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        return None;
    }
    // The checksum follows at the next multiple of 4 behind the NUL.
    let checksum = bytes.get((length + 1).next_multiple_of(4)..)?.first_chunk::<4>()?;
    Some(DebugLink { name: name.into(), checksum: elf.endian.read_u32(*checksum) })
}

fn belongs(elf: &ElfFile, debug: &ElfFile, checksum: u32) -> bool {
    if elf.build_id().is_empty() || debug.build_id().is_empty() {
        checksum_of(&debug.image) == Some(checksum)
    } else {
        elf.build_id() == debug.build_id()
    }
}

/// CRC-32 of all bytes.
fn checksum_of(image: &Image) -> Option<u32> {
    const CHUNK: u64 = 1 << 16;
    if image.size_bytes() > MAX_CHECKSUMMED {
        return None;
    }
    let mut crc = flate2::Crc::new();
    let mut offset = 0;
    while offset < image.size_bytes() {
        let size = CHUNK.min(image.size_bytes() - offset);
        let chunk = image.read(FileRange { offset, size }, CHUNK, "debug file").ok()?;
        crc.update(&chunk);
        offset += size;
    }
    Some(crc.sum())
}
