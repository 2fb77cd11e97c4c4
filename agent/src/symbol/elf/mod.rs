//! ELF files: headers, segments, sections, symbols. No debug information, that is `dwarf`.

mod build_id;
mod compressed;
mod debug_file;
mod embedded;
mod extent;
mod headers;
mod names;
mod plt;
mod symbols;

use std::fs::File;
use std::sync::Arc;

use object::Endianness;

use super::image::{FileRange, Image, ReadError};
use super::{FileOffset, Svma};

pub(crate) use debug_file::{find_debug_file, find_supplement, open_regular};
pub(crate) use embedded::find_embedded;
pub use names::ElfSymbols;

/// Why a file cannot be used as an ELF file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Its bytes cannot be had.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Another format: a script, a JIT's cache, data.
    #[error("not an ELF file")]
    NotElf,
    /// A table that makes no sense.
    #[error("{what} is corrupt")]
    Corrupt {
        /// The table.
        what: &'static str,
    },
    /// More entries than anybody honest needs.
    #[error("{what} has {count} entries, more than {limit}")]
    TooMany {
        /// The table.
        what: &'static str,
        /// Entries it states.
        count: u64,
        /// The most that is read.
        limit: u64,
    },
}

/// A segment: how a part of the file is placed in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Where it lies in the file.
    pub(crate) file: FileRange,
    /// Address of its first byte.
    pub(crate) svma: Svma,
    /// Whether code may run in it.
    pub(crate) executable: bool,
}

/// One section header. The name is kept because that is how debug sections are told apart.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) name: Box<str>,
    pub(crate) kind: object::elf::SectionType,
    pub(crate) flags: object::elf::SectionFlags,
    pub(crate) svma: Svma,
    pub(crate) file: FileRange,
    /// Index of the section that belongs to it, such as a symbol table's strings.
    pub(crate) link: u32,
}

impl Section {
    /// Whether bytes of it are in the file; separate debug files keep empty shells of the others.
    pub(crate) fn has_bytes(&self) -> bool {
        self.kind != object::elf::SHT_NOBITS && self.file.size > 0
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.flags.contains(object::elf::SHF_COMPRESSED)
    }

    pub(crate) fn is_executable(&self) -> bool {
        self.flags.contains(object::elf::SHF_EXECINSTR)
    }

    fn end(&self) -> u64 {
        self.svma.0.saturating_add(self.file.size)
    }
}

/// The headers of one ELF file, and its bytes on demand.
#[derive(Clone, Debug)]
pub struct ElfFile {
    image: Image,
    endian: Endianness,
    is_64: bool,
    machine: object::elf::Machine,
    entry: Svma,
    segments: Arc<[Segment]>,
    frame_header: Option<Segment>,
    sections: Arc<[Section]>,
    build_id: Arc<str>,
}

impl ElfFile {
    /// Reads the headers of an executable, a library or a separate debug file.
    ///
    /// # Errors
    /// Says why the file cannot be used. Costs a few small reads whatever the file claims.
    pub fn open(file: File) -> Result<Self, ElfError> {
        Self::parse(Image::from_file(file)?)
    }

    /// Reads the headers of an image, such as the vDSO's.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn parse(image: Image) -> Result<Self, ElfError> {
        let mut ident = [0; 16];
        image.read_into(0, &mut ident, "ELF header").map_err(|error| match error {
            ReadError::Truncated { .. } => ElfError::NotElf,
            other => other.into(),
        })?;
        match ident {
            [0x7f, b'E', b'L', b'F', 1, ..] => {
                headers::parse::<object::elf::FileHeader32<Endianness>>(image)
            }
            [0x7f, b'E', b'L', b'F', 2, ..] => {
                headers::parse::<object::elf::FileHeader64<Endianness>>(image)
            }
            _ => Err(ElfError::NotElf),
        }
    }

    /// GNU build id in lower-case hex; empty where the file has none.
    #[must_use]
    pub const fn build_id(&self) -> &Arc<str> {
        &self.build_id
    }

    /// The address of the byte at `offset`, by the program headers.
    ///
    /// Never "address of the mapping minus its offset": linkers place segments of one file at
    /// different distances from their file offsets.
    #[must_use]
    pub fn svma_of(&self, offset: FileOffset) -> Option<Svma> {
        svma_of(&self.segments, offset)
    }

    /// Where in the file the byte at an address is.
    pub(crate) fn offset_of(&self, svma: Svma) -> Option<FileOffset> {
        let distance = |segment: &Segment| {
            let distance = svma.0.checked_sub(segment.svma.0)?;
            (distance < segment.file.size).then(|| segment.file.offset.checked_add(distance))?
        };
        self.segments.iter().find_map(distance).map(FileOffset)
    }

    /// Whether code is at an address.
    pub(crate) fn is_code(&self, svma: Svma) -> bool {
        let code = self.segments.iter().filter(|segment| segment.executable);
        code.map(|segment| (segment.svma.0, segment.file.size))
            .any(|(start, size)| svma.0.checked_sub(start).is_some_and(|into| into < size))
    }

    pub(crate) fn segments(&self) -> Arc<[Segment]> {
        Arc::clone(&self.segments)
    }

    /// Where the program headers say that the table of frame descriptions is (`.eh_frame_hdr`).
    pub(crate) const fn frame_header(&self) -> Option<Segment> {
        self.frame_header
    }

    /// Whether its section headers were cut off: it runs without them.
    pub(crate) fn is_without_sections(&self) -> bool {
        self.sections.is_empty()
    }

    /// The machine whose instructions it holds.
    pub(crate) const fn machine(&self) -> object::elf::Machine {
        self.machine
    }

    /// Where a program begins; 0 in most libraries.
    pub(crate) const fn entry(&self) -> Svma {
        self.entry
    }

    /// Where entries of the linkage tables begin (x86-64).
    pub(crate) fn linkage_entries(&self) -> impl Iterator<Item = Svma> {
        plt::entries(self)
    }

    /// Whether what an entry of a linkage table leads to never returns.
    pub(crate) fn never_returns(&self, entry: Svma) -> bool {
        plt::never_returns(self, entry)
    }

    pub(crate) const fn image(&self) -> &Image {
        &self.image
    }

    pub(crate) const fn endian(&self) -> Endianness {
        self.endian
    }

    pub(crate) const fn is_64(&self) -> bool {
        self.is_64
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| &*section.name == name)
    }
}

/// [`ElfFile::svma_of`] for segments that outlive their file.
pub(crate) fn svma_of(segments: &[Segment], offset: FileOffset) -> Option<Svma> {
    let within = |segment: &&Segment| {
        offset
            .0
            .checked_sub(segment.file.offset)
            .is_some_and(|distance| distance < segment.file.size)
    };
    let mut candidates = segments.iter().filter(within);
    let first = candidates.next()?;
    // Two segments may share a page; code is what was asked for.
    let segment = std::iter::once(first)
        .chain(candidates)
        .find(|segment| segment.executable)
        .unwrap_or(first);
    segment.svma.0.checked_add(offset.0 - segment.file.offset).map(Svma)
}
