//! `.gnu_debugdata`: the symbol table that some distributions leave in stripped programs, as a small
//! ELF file of its own, compressed with xz.
//!
//! ```text
//!  stream header │ block: header, LZMA2 data, padding, check │ block … │ index, footer
//! ```
//!
//! Only the blocks are looked at: what comes out is checked as any other ELF file is. The container is
//! read here because a library would allocate what a block header asks for, up to 4 GiB.

use std::io::Read;

use lzma_rust2::Lzma2Reader;

use super::{ElfError, ElfFile};
use crate::symbol::image::Image;

/// Bytes stored; those of the largest programs have some megabytes.
const MAX_STORED: u64 = 16 << 20;
/// Bytes that come out of them.
const MAX_UNPACKED: u64 = 64 << 20;
/// Memory of the decoder, in bytes; the format's own tools use 8 MiB for this at most.
const MAX_DICTIONARY: u32 = 16 << 20;

/// The embedded file, held in memory.
pub(crate) fn find_embedded(elf: &ElfFile) -> Option<Result<ElfFile, ElfError>> {
    let section = elf.section(".gnu_debugdata").filter(|section| section.has_bytes())?;
    let what = "embedded symbols";
    let stored = match elf.image.read(section.file, MAX_STORED, what) {
        Ok(stored) => stored,
        Err(error) => return Some(Err(error.into())),
    };
    let unpacked = unpack(&stored).ok_or(ElfError::Corrupt { what });
    Some(unpacked.and_then(|bytes| ElfFile::parse(Image::from_bytes(bytes))))
}

/// None if the bytes are no xz stream, use a filter other than LZMA2, or ask for too much.
fn unpack(stream: &[u8]) -> Option<Vec<u8>> {
    let rest = stream.strip_prefix(b"\xfd7zXZ\0")?;
    let check_bytes = match rest.get(1)? & 0xf {
        0 => 0,
        1 => 4,
        4 => 8,
        10 => 32,
        _ => return None,
    };
    let mut unpacked = Vec::new();
    let mut at = 12;
    // An index begins with a zero, where a block has the size of its header.
    while *stream.get(at)? != 0 {
        let header_bytes = (usize::from(stream[at]) + 1) * 4;
        let dictionary = dictionary_bytes(stream.get(at..at + header_bytes)?)?;
        let data = stream.get(at + header_bytes..)?;
        let mut reader = Lzma2Reader::new(data, dictionary, None);
        let room = MAX_UNPACKED - unpacked.len() as u64;
        let read = (&mut reader).take(room + 1).read_to_end(&mut unpacked).ok()?;
        if read as u64 > room {
            return None;
        }
        let used = data.len() - reader.into_inner().len();
        at = (at + header_bytes + used).next_multiple_of(4) + check_bytes;
    }
    Some(unpacked)
}

/// Size of the dictionary that a block header asks for: the header has a size, flags, perhaps two
/// sizes, and then its filters, each an id, a length and so many bytes.
fn dictionary_bytes(header: &[u8]) -> Option<u32> {
    const LZMA2: u8 = 0x21;
    let flags = *header.get(1)?;
    let mut rest = header.get(2..)?;
    for sized in [0x40, 0x80] {
        if flags & sized != 0 {
            let length = rest.iter().take(9).position(|byte| byte & 0x80 == 0)? + 1;
            rest = &rest[length..];
        }
    }
    let [LZMA2, 1, properties @ 0..=39, ..] = *rest else { return None };
    // A mantissa of two or three and an exponent; the lowest has 4 KiB.
    let size = (2 | u32::from(properties & 1)).checked_shl(u32::from(properties / 2) + 11)?;
    (flags & 3 == 0 && size <= MAX_DICTIONARY).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf hello | xz --format=xz`
    const HELLO: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21,
        0x01, 0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x04, 0x68, 0x65, 0x6c,
        0x6c, 0x6f, 0x00, 0x00, 0x00, 0x00, 0xb1, 0x37, 0xb9, 0xdb, 0xe5, 0xda, 0x1e, 0x9b, 0x00,
        0x01, 0x1d, 0x05, 0xb8, 0x2d, 0x80, 0xaf, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00,
        0x00, 0x04, 0x59, 0x5a,
    ];

    #[test]
    fn a_stream_is_unpacked_and_a_cut_one_is_refused() {
        assert_eq!(unpack(HELLO).as_deref(), Some(&b"hello"[..]));
        for end in 0..44 {
            assert_eq!(unpack(&HELLO[..end]), None, "{end} bytes");
        }
    }

    #[test]
    fn a_dictionary_of_gigabytes_is_refused() {
        let mut greedy = HELLO.to_vec();
        greedy[16] = 38;
        assert_eq!(unpack(&greedy), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(changes in proptest::collection::vec((8_usize..60, proptest::num::u8::ANY), 1..6)) {
            let mut bytes = HELLO.to_vec();
            for (at, value) in changes {
                bytes[at] = value;
            }
            let _ = unpack(&bytes);
        }
    }
}
