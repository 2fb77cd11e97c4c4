//! The bytes of one debug section: pages read when first touched, or decompressed whole.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use object::Endianness;
use object::elf::{CompressionHeader32, CompressionHeader64, ELFCOMPRESS_ZLIB, ELFCOMPRESS_ZSTD};
use object::pod;
use object::read::elf::CompressionHeader;
use object::{CompressedData, CompressionFormat};

use super::limits::Meter;
use super::sections::MASK_BYTES;
use super::{DebugInfoLimits, DebugInfoLoss};
use crate::symbol::elf::{ElfFile, Section};
use crate::symbol::image::Image;

/// Small, because one lookup touches little pieces of a section far apart.
const PAGE: usize = 4 << 10;

type Page = Box<[u8; PAGE]>;

/// One section. Reading costs are charged to the meter of its file.
#[derive(Debug)]
pub(super) struct SectionBytes {
    bytes: Bytes,
    size: usize,
    pub(super) meter: Arc<Meter>,
}

#[derive(Debug)]
enum Bytes {
    Paged {
        image: Image,
        offset: u64,
        pages: Box<[OnceLock<Page>]>,
    },
    Whole(Box<[u8]>),
    /// Another section, with other bytes at some places.
    Masked {
        under: Arc<SectionBytes>,
        masks: Box<[(usize, [u8; MASK_BYTES])]>,
    },
}

impl SectionBytes {
    pub(super) fn empty(meter: &Arc<Meter>) -> Self {
        Self { bytes: Bytes::Whole(Box::default()), size: 0, meter: Arc::clone(meter) }
    }

    /// Takes the section's size from `budget`.
    pub(super) fn open(
        elf: &ElfFile,
        section: &Section,
        budget: &mut DebugInfoLimits,
        meter: &Arc<Meter>,
    ) -> Result<Self, DebugInfoLoss> {
        let bytes = if section.is_compressed() {
            Bytes::Whole(decompress(elf, section, budget)?)
        } else {
            spend(&mut budget.sections_bytes, section.file.size)?;
            paged(elf, section)?
        };
        let size = match &bytes {
            Bytes::Paged { .. } => usize::try_from(section.file.size).unwrap_or(0),
            Bytes::Whole(bytes) => bytes.len(),
            Bytes::Masked { under, .. } => under.size,
        };
        meter.hold(bytes.memory_bytes());
        Ok(Self { bytes, size, meter: Arc::clone(meter) })
    }

    /// This section with other bytes at `masks`: positions in rising order, far enough apart.
    pub(super) fn masked(self: &Arc<Self>, masks: Box<[(usize, [u8; MASK_BYTES])]>) -> Self {
        let bytes = Bytes::Masked { under: Arc::clone(self), masks };
        Self { bytes, size: self.size, meter: Arc::clone(&self.meter) }
    }

    /// The same section without the bytes that can be read again; none if there are no such bytes.
    pub(super) fn fresh(&self) -> Option<Self> {
        let Bytes::Paged { image, offset, pages } = &self.bytes else { return None };
        let pages = empty_pages(pages.len());
        let bytes = Bytes::Paged { image: image.clone(), offset: *offset, pages };
        Some(Self { bytes, size: self.size, meter: Arc::clone(&self.meter) })
    }

    /// Memory held even when nothing was read yet, in bytes.
    pub(super) fn fixed_bytes(&self) -> usize {
        self.bytes.memory_bytes()
    }

    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// The bytes from `position` on that are next to each other in memory; at least one unless
    /// `position` is the end.
    pub(super) fn run(&self, position: usize) -> gimli::Result<&[u8]> {
        match &self.bytes {
            Bytes::Whole(bytes) => Ok(bytes.get(position..).unwrap_or_default()),
            Bytes::Masked { under, masks } => {
                let next = masks.partition_point(|(start, _)| start + MASK_BYTES <= position);
                match masks.get(next) {
                    Some((start, mask)) if *start <= position => Ok(&mask[position - start..]),
                    Some((start, _)) => {
                        let run = under.run(position)?;
                        Ok(&run[..run.len().min(start - position)])
                    }
                    None => under.run(position),
                }
            }
            Bytes::Paged { image, offset, pages } => {
                let index = position / PAGE;
                let Some(cell) = pages.get(index) else { return Ok(&[]) };
                let page = match cell.get() {
                    Some(page) => page,
                    None => {
                        let page = self.load(image, *offset, index)?;
                        self.meter.hold(PAGE);
                        cell.get_or_init(|| page)
                    }
                };
                Ok(&page[position % PAGE..(self.size - index * PAGE).min(PAGE)])
            }
        }
    }

    fn load(&self, image: &Image, offset: u64, index: usize) -> gimli::Result<Page> {
        let mut page: Page = Box::new([0; PAGE]);
        let start = index * PAGE;
        let used = (self.size - start).min(PAGE);
        image
            .read_into(offset + start as u64, &mut page[..used], "debug section")
            .map_err(|_| gimli::Error::Io)?;
        Ok(page)
    }

    /// `start..end`, borrowed where it lies in one piece.
    pub(super) fn slice(&self, start: usize, end: usize) -> gimli::Result<Cow<'_, [u8]>> {
        let run = self.run(start)?;
        if let Some(slice) = run.get(..end - start) {
            return Ok(Cow::Borrowed(slice));
        }
        let mut bytes = vec![0; end - start];
        self.copy(start, &mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    /// Fills `buffer` from `position` on. The caller has checked that the section is long enough.
    #[inline]
    pub(super) fn copy(&self, mut position: usize, mut buffer: &mut [u8]) -> gimli::Result<()> {
        while !buffer.is_empty() {
            let run = self.run(position)?;
            let taken = run.len().min(buffer.len());
            if taken == 0 {
                return Err(gimli::Error::Io);
            }
            let (head, tail) = buffer.split_at_mut(taken);
            head.copy_from_slice(&run[..taken]);
            position += taken;
            buffer = tail;
        }
        Ok(())
    }
}

impl Bytes {
    fn memory_bytes(&self) -> usize {
        match self {
            Self::Paged { pages, .. } => size_of_val(&**pages),
            Self::Whole(bytes) => bytes.len(),
            Self::Masked { masks, .. } => size_of_val(&**masks),
        }
    }
}

fn empty_pages(count: usize) -> Box<[OnceLock<Page>]> {
    std::iter::repeat_with(OnceLock::new).take(count).collect()
}

fn spend(budget: &mut u64, size: u64) -> Result<(), DebugInfoLoss> {
    *budget = budget.checked_sub(size).ok_or(DebugInfoLoss::TooLarge)?;
    Ok(())
}

fn paged(elf: &ElfFile, section: &Section) -> Result<Bytes, DebugInfoLoss> {
    let range = section.file;
    if range.offset.checked_add(range.size).is_none_or(|end| end > elf.image().size_bytes()) {
        return Err(DebugInfoLoss::Corrupt);
    }
    let count = usize::try_from(range.size).map_err(|_| DebugInfoLoss::TooLarge)?.div_ceil(PAGE);
    let pages = empty_pages(count);
    Ok(Bytes::Paged { image: elf.image().clone(), offset: range.offset, pages })
}

/// Compressed bytes can only be had from the start, so the section is held whole.
fn decompress(
    elf: &ElfFile,
    section: &Section,
    budget: &mut DebugInfoLimits,
) -> Result<Box<[u8]>, DebugInfoLoss> {
    let limit = budget.compressed_bytes;
    let stored = elf
        .image()
        .read(section.file, limit, "compressed section")
        .map_err(|_| DebugInfoLoss::TooLarge)?;
    let data = if elf.is_64() {
        compressed::<CompressionHeader64<Endianness>>(&stored, elf.endian())
    } else {
        compressed::<CompressionHeader32<Endianness>>(&stored, elf.endian())
    };
    let data = data.ok_or(DebugInfoLoss::Corrupt)?;
    spend(&mut budget.compressed_bytes, data.uncompressed_size)?;
    spend(&mut budget.sections_bytes, data.uncompressed_size)?;
    let bytes = data.decompress().map_err(|_| DebugInfoLoss::Corrupt)?;
    Ok(bytes.into_owned().into_boxed_slice())
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
