//! Any bytes as an ELF file: its unwind tables, and what is held in memory for them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sonde_agent::symbol::elf::ElfFile;
use sonde_agent::symbol::image::Image;
use sonde_agent::unwind::try_tables;

fuzz_target!(|bytes: &[u8]| {
    let Ok(elf) = ElfFile::parse(Image::from_bytes(bytes.to_vec())) else { return };
    let Ok(size) = try_tables(&elf) else { return };
    // Compressed sections aside, nothing is larger than what the file has.
    assert!(size.held_bytes <= (24 << 20) + 2 * bytes.len() as u64);
});
