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

/// Asks for everything that can be asked of the bytes of a file.
fn exercise(bytes: Vec<u8>) {
    let Ok(elf) = ElfFile::parse(Image::from_bytes(bytes)) else { return };
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
