//! The ELF header, program headers and section headers. What they point at is read elsewhere.

use object::Endianness;
use object::elf::{PF_X, PT_GNU_EH_FRAME, PT_LOAD, PT_NOTE, ProgramType, SHN_XINDEX};
use object::pod::{self, Pod};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

use super::{ElfError, ElfFile, Section, Segment, build_id};
use crate::symbol::Svma;
use crate::symbol::image::{Buffer, FileRange, Image, ReadError};

/// Real files have about a dozen; the kernel itself refuses more than 64 KiB of them.
const MAX_PROGRAM_HEADERS: u64 = 1_024;
/// Linked files have about forty.
const MAX_SECTIONS: u64 = 16_384;
/// Names of sections, all together, in bytes.
const MAX_SECTION_NAMES: u64 = 1 << 20;
/// The longest name of a section that is asked for anywhere is far shorter.
const MAX_SECTION_NAME: usize = 64;

/// Reads all headers of a file of the class `Elf`.
pub(super) fn parse<Elf: FileHeader<Endian = Endianness>>(
    image: Image,
) -> Result<ElfFile, ElfError> {
    let what = "ELF header";
    let header = image.read(range(0, size_of::<Elf>() as u64), 64, what)?;
    let (header, _) = pod::from_bytes::<Elf>(&header).map_err(|()| ElfError::Corrupt { what })?;
    if !header.is_supported() {
        return Err(ElfError::NotElf);
    }
    let endian = header.endian().map_err(|_| ElfError::NotElf)?;
    let program_headers = program_headers(&image, header, endian)?;
    let headers = entries(&program_headers)?;
    let segments: Vec<_> = of_kind::<Elf>(headers, endian, PT_LOAD).collect();
    let frame_header = of_kind::<Elf>(headers, endian, PT_GNU_EH_FRAME).next();
    let notes: Vec<_> = of_kind::<Elf>(headers, endian, PT_NOTE).map(|note| note.file).collect();
    // Section headers are not needed to run a program: some are cut off, and that is no error.
    let sections = sections(&image, header, endian).unwrap_or_default();
    let build_id = build_id::find(&image, endian, &notes, &sections);
    Ok(ElfFile {
        image,
        endian,
        is_64: header.is_type_64(),
        machine: header.e_machine(endian),
        entry: Svma(header.e_entry(endian).into()),
        segments: segments.into(),
        frame_header,
        sections: sections.into(),
        build_id,
    })
}

const fn range(offset: u64, size: u64) -> FileRange {
    FileRange { offset, size }
}

fn entries<T: Pod>(table: &Buffer) -> Result<&[T], ElfError> {
    pod::slice_from_all_bytes(table).map_err(|()| ElfError::Corrupt { what: "header table" })
}

fn program_headers<Elf: FileHeader<Endian = Endianness>>(
    image: &Image,
    header: &Elf,
    endian: Endianness,
) -> Result<Buffer, ElfError> {
    let what = "program headers";
    let count = u64::from(header.e_phnum(endian));
    let entry_size = size_of::<Elf::ProgramHeader>() as u64;
    if count > 0 && u64::from(header.e_phentsize(endian)) != entry_size {
        return Err(ElfError::Corrupt { what });
    }
    check_count(what, count, MAX_PROGRAM_HEADERS)?;
    let table = range(header.e_phoff(endian).into(), count * entry_size);
    Ok(image.read(table, u64::MAX, what)?)
}

fn check_count(what: &'static str, count: u64, limit: u64) -> Result<(), ElfError> {
    if count > limit { Err(ElfError::TooMany { what, count, limit }) } else { Ok(()) }
}

fn of_kind<Elf: FileHeader<Endian = Endianness>>(
    headers: &[Elf::ProgramHeader],
    endian: Endianness,
    kind: ProgramType,
) -> impl Iterator<Item = Segment> {
    let wanted = headers.iter().filter(move |header| header.p_type(endian) == kind);
    wanted.map(move |header| Segment {
        file: range(header.p_offset(endian).into(), header.p_filesz(endian).into()),
        svma: Svma(header.p_vaddr(endian).into()),
        executable: header.p_flags(endian).contains(PF_X),
    })
}

fn sections<Elf: FileHeader<Endian = Endianness>>(
    image: &Image,
    header: &Elf,
    endian: Endianness,
) -> Result<Vec<Section>, ElfError> {
    let what = "section headers";
    let offset: u64 = header.e_shoff(endian).into();
    let entry_size = size_of::<Elf::SectionHeader>() as u64;
    if offset == 0 || u64::from(header.e_shentsize(endian)) != entry_size {
        return Ok(Vec::new());
    }
    let first = image.read(range(offset, entry_size), entry_size, what)?;
    let first: &Elf::SectionHeader = entries(&first)?.first().ok_or(ElfError::Corrupt { what })?;
    // A count or index that does not fit the header is kept in the first section.
    let count = match header.e_shnum(endian) {
        0 => first.sh_size(endian).into(),
        count => u64::from(count),
    };
    check_count(what, count, MAX_SECTIONS)?;
    let names_index = match header.e_shstrndx(endian) {
        SHN_XINDEX => first.sh_link(endian),
        index => u32::from(index.0),
    };
    let table = image.read(range(offset, count * entry_size), u64::MAX, what)?;
    let headers: &[Elf::SectionHeader] = entries(&table)?;
    let names = section_names::<Elf>(image, headers, names_index, endian)?;
    Ok(headers.iter().map(|header| section(header, &names, endian)).collect())
}

fn section_names<Elf: FileHeader<Endian = Endianness>>(
    image: &Image,
    headers: &[Elf::SectionHeader],
    index: u32,
    endian: Endianness,
) -> Result<Buffer, ReadError> {
    let table = headers.get(index as usize).map_or_else(FileRange::default, |header| {
        range(header.sh_offset(endian).into(), header.sh_size(endian).into())
    });
    image.read(table, MAX_SECTION_NAMES, "section names")
}

fn section<H: SectionHeader<Endian = Endianness>>(
    header: &H,
    names: &[u8],
    endian: Endianness,
) -> Section {
    let name = names.get(header.sh_name(endian) as usize..).unwrap_or_default();
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    let name = &name[..name.len().min(MAX_SECTION_NAME)];
    Section {
        name: String::from_utf8_lossy(name).into(),
        kind: header.sh_type(endian),
        flags: header.sh_flags(endian),
        svma: Svma(header.sh_addr(endian).into()),
        file: range(header.sh_offset(endian).into(), header.sh_size(endian).into()),
        link: header.sh_link(endian),
    }
}
