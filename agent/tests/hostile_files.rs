//! Files made to hurt their reader: nothing panics, nothing takes much memory, all is counted.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use sonde_agent::symbol::dwarf::{DebugInfo, DebugInfoLimits, DebugInfoLoss};
use sonde_agent::symbol::elf::{ElfError, ElfFile, ElfSymbols};
use sonde_agent::symbol::image::Image;
use sonde_agent::symbol::{FileOffset, Settings, Svma, Symbol, Symbolizer, UnknownReason};
use sonde_agent::unwind::{CfiError, TableSize, try_tables};

/// A small program with debug information.
fn program() -> &'static [u8] {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = "static inline int twice(int n) { return n * 2; }
            int main(int argc, char **argv) { return twice(argc) + twice(argc + 1); }";
        compile("program.c", source, &["-g", "-O2"])
    })
}

/// Where `main` starts in [`program`], found without the code under test.
fn main_at() -> (Svma, u64) {
    use object::{Object, ObjectSegment, ObjectSymbol};
    let file = object::File::parse(program()).unwrap();
    let address = file.symbol_by_name("main").unwrap().address();
    let mut segments = file.segments();
    let holds =
        |s: &object::Segment<'_, '_>| (s.address()..s.address() + s.size()).contains(&address);
    let segment = segments.find(holds).unwrap();
    (Svma(address), address - segment.address() + segment.file_range().0)
}

fn compile(name: &str, source: &str, options: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), source).unwrap();
    let mut cc = Command::new("cc");
    cc.current_dir(&folder).args([name, "-o", "program"]).args(options);
    assert!(cc.status().unwrap().success());
    std::fs::read(folder.path().join("program")).unwrap()
}

/// What the descriptions of one file may take of memory, if it has those of this many functions.
const MAX_HELD_BYTES: u64 = 24 << 20;

/// Asks for everything that can be asked of the bytes of a file.
fn exercise(bytes: Vec<u8>) {
    let Ok(elf) = ElfFile::parse(Image::from_bytes(bytes)) else { return };
    if let Ok(size) = try_tables(&elf) {
        assert!(size.held_bytes <= MAX_HELD_BYTES, "{size:?}");
    }
    let mut info = DebugInfo::open(&elf, Path::new("/"), None, &DebugInfoLimits::default());
    let mut symbols = ElfSymbols::new(elf);
    for offset in (0..0x6000).step_by(0x31) {
        let Some(svma) = symbols.elf().svma_of(FileOffset(offset)) else { continue };
        let _ = symbols.name(svma);
        if let Ok(Some(info)) = &mut info {
            let _ = info.frames(svma);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn changed_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40)) {
        let mut bytes = program().to_vec();
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        exercise(bytes);
    }

    #[test]
    fn changed_headers_never_panic(changes in prop::collection::vec((0_usize..64 + 13 * 56, any::<u8>()), 1..8)) {
        let mut bytes = program().to_vec();
        for (at, value) in changes {
            bytes[at] = value;
        }
        exercise(bytes);
    }

    #[test]
    fn changed_section_headers_never_panic(changes in prop::collection::vec((0_usize..40 * 64, any::<u8>()), 1..8)) {
        let mut bytes = program().to_vec();
        for (from_end, value) in changes {
            let at = bytes.len() - 1 - from_end.min(bytes.len() - 1);
            bytes[at] = value;
        }
        exercise(bytes);
    }

    #[test]
    fn changed_frame_descriptions_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        sorted in any::<bool>(),
    ) {
        let mut bytes = program().to_vec();
        if !sorted {
            let header = section(&bytes, ".eh_frame_hdr");
            bytes[header.start + 3] = 0xff;
        }
        let frames = section(&bytes, ".eh_frame_hdr").start..section(&bytes, ".eh_frame").end;
        for (index, value) in changes {
            bytes[frames.start + index.index(frames.len())] = value;
        }
        exercise(bytes);
    }

    #[test]
    fn files_that_end_early_never_panic(index in any::<prop::sample::Index>()) {
        let bytes = program();
        exercise(bytes[..index.index(bytes.len())].to_vec());
    }
}

fn symbolize(path: &Path, offset: u64) -> (Symbolizer, Symbol) {
    let mut symbolizer = Symbolizer::new(Settings::default());
    let id = symbolizer.register(Arc::from(path.to_str().unwrap()), File::open(path).unwrap());
    let symbol = symbolizer.symbolize(id, FileOffset(offset)).1;
    (symbolizer, symbol)
}

/// Most memory this process ever had, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_sparse_file_of_ten_gigabytes_costs_nothing() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(program()).unwrap();
    file.as_file().set_len(10 << 30).unwrap();
    assert!(matches!(symbolize(file.path(), main_at().1).1, Symbol::Known(_)));
    let empty = tempfile::NamedTempFile::new().unwrap();
    empty.as_file().set_len(10 << 30).unwrap();
    assert_eq!(symbolize(empty.path(), 0x1000).1, Symbol::Unknown(UnknownReason::NotReadable));
    assert!(peak_memory() < 1 << 30, "{} bytes", peak_memory());
}

#[test]
fn a_symbol_table_that_claims_gigabytes_is_refused_before_it_is_read() {
    let mut bytes = program().to_vec();
    let sections = u64::from_le_bytes(bytes[0x28..0x30].try_into().unwrap());
    let count = u16::from_le_bytes(bytes[0x3c..0x3e].try_into().unwrap());
    for index in 0..u64::from(count) {
        let header = usize::try_from(sections + index * 64).unwrap();
        if bytes[header + 4..header + 8] == 2_u32.to_le_bytes() {
            bytes[header + 0x20..header + 0x28].copy_from_slice(&(9_u64 << 30).to_le_bytes());
        }
    }
    let mut symbols = ElfSymbols::new(ElfFile::parse(Image::from_bytes(bytes)).unwrap());
    let refused = symbols.name(main_at().0);
    assert!(matches!(refused, Err(ElfError::TooMany { .. })), "{refused:?}");
}

#[test]
fn what_is_no_elf_file_has_no_names_and_says_so() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "#!/bin/sh\nexit 0").unwrap();
    let (symbolizer, symbol) = symbolize(file.path(), 4);
    assert_eq!(symbol, Symbol::Unknown(UnknownReason::NotReadable));
    let counted =
        symbolizer.counts().unknown().find(|(reason, _)| *reason == UnknownReason::NotReadable);
    assert_eq!(counted, Some((UnknownReason::NotReadable, 1)));
    assert_eq!(symbolize(Path::new("/proc"), 4).1, Symbol::Unknown(UnknownReason::NotReadable));
}

#[test]
fn a_file_that_is_truncated_while_it_is_open_loses_its_names_only() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(program()).unwrap();
    let mut symbolizer = Symbolizer::new(Settings::default());
    let id = symbolizer.register("program".into(), file.reopen().unwrap());
    file.as_file().set_len(main_at().1).unwrap();
    assert!(matches!(symbolizer.symbolize(id, FileOffset(main_at().1)).1, Symbol::Unknown(_)));
}

/// A program whose debug information nests `depth` inlined functions into each other.
fn nested(depth: usize) -> Vec<u8> {
    // Abbreviation 1: a unit with an address range. 2: a function, the same. 3: an inlined function,
    // the same. All have children.
    let abbreviation =
        |number, tag| format!(".uleb128 {number},{tag}\n.byte 1\n.uleb128 0x11,1,0x12,7,0,0\n");
    let entry = |number| format!(".uleb128 {number}\n.quad code\n.quad 16\n");
    let mut source = String::from(
        ".globl main\n.text\ncode:\nmain:\n.skip 16,0x90\nret\n.section .debug_abbrev\n",
    );
    for (number, tag) in [(1, "0x11"), (2, "0x2e"), (3, "0x1d")] {
        source += &abbreviation(number, tag);
    }
    source +=
        ".byte 0\n.section .debug_info\n.long end-start\nstart:\n.value 4\n.long 0\n.byte 8\n";
    source += &(entry(1) + &entry(2));
    source += &entry(3).repeat(depth);
    source += &format!(".skip {},0\nend:\n", depth + 2);
    source += ".section .note.GNU-stack,\"\",@progbits\n";
    compile("program.s", &source, &["-no-pie"])
}

fn frames_of_main(bytes: Vec<u8>) -> Result<usize, DebugInfoLoss> {
    use object::{Object, ObjectSymbol};
    let address = object::File::parse(&*bytes).unwrap().symbol_by_name("main").unwrap().address();
    let elf = ElfFile::parse(Image::from_bytes(bytes)).unwrap();
    let limits = DebugInfoLimits::default();
    let mut info = DebugInfo::open(&elf, Path::new("/"), None, &limits)?.unwrap();
    info.frames(Svma(address)).map(|frames| frames.len())
}

#[test]
fn nesting_that_would_overflow_the_stack_is_refused() {
    assert_eq!(frames_of_main(nested(50)), Ok(51));
    assert_eq!(frames_of_main(nested(100_000)), Err(DebugInfoLoss::TooDeep));
}

#[test]
fn debug_information_above_its_limits_is_refused_and_counted() {
    let elf = ElfFile::parse(Image::from_bytes(program().to_vec())).unwrap();
    let small = DebugInfoLimits { sections_bytes: 100, ..DebugInfoLimits::default() };
    assert_eq!(
        DebugInfo::open(&elf, Path::new("/"), None, &small).err(),
        Some(DebugInfoLoss::TooLarge)
    );
    let cheap = DebugInfoLimits { read_bytes: 10, ..DebugInfoLimits::default() };
    assert_eq!(
        DebugInfo::open(&elf, Path::new("/"), None, &cheap).err(),
        Some(DebugInfoLoss::TooCostly)
    );

    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(program()).unwrap();
    let mut symbolizer = Symbolizer::new(Settings { debug_info: small, ..Settings::default() });
    let id = symbolizer.register("program".into(), file.reopen().unwrap());
    for offset in main_at().1..main_at().1 + 4 {
        assert!(matches!(symbolizer.symbolize(id, FileOffset(offset)).1, Symbol::Known(_)));
    }
    let counted: Vec<_> =
        symbolizer.counts().debug_info().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [(DebugInfoLoss::TooLarge, 1)]);
}

#[test]
fn few_files_stay_open_and_a_closed_one_comes_back_when_registered_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut symbolizer = Symbolizer::new(Settings { max_open_files: 8, ..Settings::default() });
    let register = |symbolizer: &mut Symbolizer, number: usize| {
        let path = folder.path().join(number.to_string());
        if !path.exists() {
            std::fs::write(&path, program()).unwrap();
        }
        symbolizer.register(path.to_str().unwrap().into(), File::open(path).unwrap())
    };
    let first = register(&mut symbolizer, 0);
    for number in 1..40 {
        register(&mut symbolizer, number);
    }
    assert!(symbolizer.needs_file(first));
    let gone = symbolizer.symbolize(first, FileOffset(main_at().1)).1;
    assert_eq!(gone, Symbol::Unknown(UnknownReason::FileGone));
    assert_eq!(register(&mut symbolizer, 0), first);
    assert!(matches!(symbolizer.symbolize(first, FileOffset(main_at().1)).1, Symbol::Known(_)));
    let open = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
    let open = open.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    assert!(open.filter(|path| path.starts_with(folder.path())).count() <= 8);
}

#[test]
fn debug_information_of_files_out_of_use_makes_room_and_comes_back() {
    let file = || {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(program()).unwrap();
        file
    };
    let files = [file(), file(), file()];
    let settings = Settings { max_debug_bytes: 1, max_table_bytes: 1, ..Settings::default() };
    let mut symbolizer = Symbolizer::new(settings);
    let ids = files.each_ref().map(|f| symbolizer.register("program".into(), f.reopen().unwrap()));
    let alone = symbolize(files[0].path(), main_at().1).0.memory();
    for offset in main_at().1..main_at().1 + 4 {
        for id in ids {
            let named = symbolizer.symbolize(id, FileOffset(offset)).1;
            assert_eq!(named, symbolize(files[0].path(), offset).1);
            assert!(symbolizer.memory().debug_info <= 2 * alone.debug_info);
        }
    }
    let freed: usize = (0..20).map(|_| symbolizer.end_window()).sum();
    assert!(freed > 0);
    assert_eq!(symbolizer.memory().debug_info, 0);
}

/// Where the bytes of a section are.
fn section(bytes: &[u8], name: &str) -> std::ops::Range<usize> {
    use object::{Object, ObjectSection};
    let file = object::File::parse(bytes).unwrap();
    let (offset, size) = file.section_by_name(name).unwrap().file_range().unwrap();
    let offset = usize::try_from(offset).unwrap();
    offset..offset + usize::try_from(size).unwrap()
}

/// States another size for a section.
fn resize_section(bytes: &mut [u8], of: &std::ops::Range<usize>, size: u64) {
    let headers = u64::from_le_bytes(bytes[0x28..0x30].try_into().unwrap());
    let count = u16::from_le_bytes(bytes[0x3c..0x3e].try_into().unwrap());
    let mut resized = 0;
    for index in 0..u64::from(count) {
        let header = usize::try_from(headers + index * 64).unwrap();
        if bytes[header + 0x18..header + 0x20] == (of.start as u64).to_le_bytes() {
            bytes[header + 0x20..header + 0x28].copy_from_slice(&size.to_le_bytes());
            resized += 1;
        }
    }
    assert_eq!(resized, 1);
}

/// The tables of a file that has so many bytes, the rest zeros.
fn tables_of_sparse(bytes: &[u8], size: u64) -> Result<TableSize, CfiError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file.as_file().set_len(size).unwrap();
    try_tables(&ElfFile::open(file.reopen().unwrap()).unwrap())
}

#[test]
fn frame_descriptions_that_claim_gigabytes_are_refused_with_a_reason() {
    let mut bytes = program().to_vec();
    let (header, frames) = (section(&bytes, ".eh_frame_hdr"), section(&bytes, ".eh_frame"));
    // Without the linker's table all descriptions would have to be looked at.
    bytes[header.start + 3] = 0xff;
    resize_section(&mut bytes, &frames, 9 << 30);
    let refused = tables_of_sparse(&bytes, 10 << 30).unwrap_err();
    assert!(refused.to_string().contains("more than"), "{refused}");
    assert!(peak_memory() < 1 << 30, "{} bytes", peak_memory());
}

#[test]
fn a_table_of_a_billion_functions_is_looked_at_as_far_as_a_page_needs() {
    let mut bytes = program().to_vec();
    let header = section(&bytes, ".eh_frame_hdr");
    resize_section(&mut bytes, &header, 8 << 30);
    bytes[header.start + 8..header.start + 12]
        .copy_from_slice(&(1_u32 << 30).wrapping_sub(9).to_le_bytes());
    let size = tables_of_sparse(&bytes, 10 << 30).unwrap();
    assert!(size.pages > 0 && size.held_bytes < 1 << 20, "{size:?}");
    assert!(peak_memory() < 1 << 30, "{} bytes", peak_memory());
}

#[test]
fn of_functions_described_over_and_over_the_first_description_counts() {
    let common = ".section .eh_frame,\"a\",@progbits\ncommon: .long 1f-0f\n0: .long 0\n.byte 1\n\
        .asciz \"zR\"\n.uleb128 1\n.sleb128 -8\n.byte 16\n.uleb128 1\n.byte 0x1b\n\
        .byte 0x0c,7,8,0x90,1\n.balign 8\n1:\n";
    let again = "3: .long 5f-4f\n4: .long .-common\n.long main-.\n.long 64\n.uleb128 0\n\
        .byte 0x41,0x0e,16\n.balign 8\n5:\n";
    let source = format!(
        ".globl main\n.text\nmain:\n.skip 64,0x90\nret\n{common}{}\
         .section .note.GNU-stack,\"\",@progbits\n",
        again.repeat(20_000)
    );
    let bytes = compile("program.s", &source, &["-no-pie", "-Wl,--no-eh-frame-hdr"]);
    let size = try_tables(&ElfFile::parse(Image::from_bytes(bytes)).unwrap()).unwrap();
    assert!(size.rows < 100, "{size:?}");
}
