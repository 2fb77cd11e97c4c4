//! Files for tests: code at a known place, and any claims of where it is loaded.

use crate::symbol::{elf::ElfFile, image::Image};

/// Where the code is in the file.
pub(super) const CODE_AT: u64 = 0x1000;

/// A file for x86-64 with this code and no descriptions, claimed to be loaded to each of these
/// addresses with these sizes.
pub(super) fn elf(code: &[u8], loads: &[(u64, u64)]) -> ElfFile {
    let mut bytes = vec![0; usize::try_from(CODE_AT).expect("small")];
    bytes[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
    bytes[16..24].copy_from_slice(&[3, 0, 62, 0, 1, 0, 0, 0]);
    bytes[32] = 64; // Program headers of 56 bytes are behind this one, which has 64.
    bytes[52..57].copy_from_slice(&[64, 0, 56, 0, u8::try_from(loads.len()).expect("few")]);
    for (number, (svma, size)) in loads.iter().enumerate() {
        let words = [1 | 5 << 32, CODE_AT, *svma, *svma, *size, *size, 0x1000];
        for (place, word) in words.into_iter().enumerate() {
            bytes[64 + 56 * number + 8 * place..][..8].copy_from_slice(&word.to_le_bytes());
        }
    }
    bytes.extend(code);
    ElfFile::parse(Image::from_bytes(bytes)).expect("an ELF file")
}
