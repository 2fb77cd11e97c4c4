//! Any bytes as an ELF file: headers, symbols, debug information.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use sonde_agent::symbol::FileOffset;
use sonde_agent::symbol::dwarf::{DebugInfo, DebugInfoLimits};
use sonde_agent::symbol::elf::{ElfFile, ElfSymbols};
use sonde_agent::symbol::image::Image;

fuzz_target!(|bytes: &[u8]| {
    let Ok(elf) = ElfFile::parse(Image::from_bytes(bytes.to_vec())) else { return };
    let mut info = DebugInfo::open(&elf, Path::new("/"), None, &DebugInfoLimits::default());
    let mut symbols = ElfSymbols::new(elf);
    for offset in (0..bytes.len() as u64).step_by(64) {
        let Some(svma) = symbols.elf().svma_of(FileOffset(offset)) else { continue };
        let _ = symbols.name(svma);
        if let Ok(Some(info)) = &mut info {
            let _ = info.frames(svma);
        }
    }
});
