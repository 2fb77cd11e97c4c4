//! Sections that the compiler or linker compressed.

use object::elf::{CompressionHeader32, CompressionHeader64, ELFCOMPRESS_ZLIB, ELFCOMPRESS_ZSTD};
use object::pod;
use object::read::elf::CompressionHeader;
use object::{CompressedData, CompressionFormat, Endianness};

use super::{ElfFile, Section};

impl ElfFile {
    /// The bytes of a compressed section; `None` if they, packed or unpacked, are more than `limit`
    /// or make no sense.
    pub(crate) fn decompressed(&self, section: &Section, limit: u64) -> Option<Box<[u8]>> {
        let stored = self.image.read(section.file, limit, "compressed section").ok()?;
        let data = if self.is_64 {
            compressed::<CompressionHeader64<Endianness>>(&stored, self.endian)
        } else {
            compressed::<CompressionHeader32<Endianness>>(&stored, self.endian)
        };
        let data = data.filter(|data| data.uncompressed_size <= limit)?;
        Some(data.decompress().ok()?.into_owned().into_boxed_slice())
    }
}

fn compressed<H: CompressionHeader<Endian = Endianness>>(
    stored: &[u8],
    endian: Endianness,
) -> Option<CompressedData<'_>> {
    let (header, data) = pod::from_bytes::<H>(stored).ok()?;
    let format = match header.ch_type(endian) {
        ELFCOMPRESS_ZLIB => CompressionFormat::Zlib,
        ELFCOMPRESS_ZSTD => CompressionFormat::Zstandard,
        _ => return None,
    };
    Some(CompressedData { format, data, uncompressed_size: header.ch_size(endian).into() })
}
