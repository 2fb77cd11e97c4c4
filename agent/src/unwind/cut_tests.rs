//! Files without section headers: the program headers lead to the same tables.

use sonde_ebpf::unwind::PAGE_TEXT_BYTES;

use super::{
    file::{Layout, Source},
    oracle_tests::mapped,
};
use crate::symbol::{elf::ElfFile, image::Image};

/// All pages of a file.
fn pages(bytes: Vec<u8>) -> Vec<Vec<u8>> {
    let elf = ElfFile::parse(Image::from_bytes(bytes)).expect("an ELF file");
    let layout = Layout::of(&elf);
    let mut source = Source::open(&elf).expect("has descriptions");
    let page = |page| source.build((layout.first_page + page) * PAGE_TEXT_BYTES);
    (0..u64::from(layout.pages)).map(page).collect()
}

/// What `sstrip` does: `e_shoff`, `e_shnum` and `e_shstrndx` become zero, and what they led to goes.
fn without_section_headers(mut bytes: Vec<u8>) -> Vec<u8> {
    let at = u64::from_le_bytes(bytes[0x28..0x30].try_into().expect("eight bytes"));
    bytes.truncate(usize::try_from(at).expect("small"));
    bytes[0x28..0x30].fill(0);
    bytes[0x3c..0x40].fill(0);
    bytes
}

/// The same without the sorted table: its format is one that nobody writes.
fn without_table(mut bytes: Vec<u8>) -> Vec<u8> {
    let header = u64::from_le_bytes(bytes[0x20..0x28].try_into().expect("eight bytes"));
    let mut header = usize::try_from(header).expect("small");
    while bytes[header..header + 4] != 0x6474_e550_u32.to_le_bytes() {
        header += 56;
    }
    let at = u64::from_le_bytes(bytes[header + 8..header + 16].try_into().expect("eight bytes"));
    bytes[usize::try_from(at).expect("small") + 3] = 0xff;
    bytes
}

#[test]
fn a_file_whose_section_headers_were_cut_off_has_the_same_tables() {
    for name in ["libc.so.6", "ld-linux"] {
        let whole = std::fs::read(mapped(name)).expect("readable");
        let cut = without_section_headers(whole.clone());
        let expected = pages(whole);
        assert!(expected.iter().map(Vec::len).sum::<usize>() > 4000, "{name}");
        assert_eq!(pages(cut.clone()), expected, "{name}");
        assert_eq!(pages(without_table(cut)), expected, "{name}");
    }
}
