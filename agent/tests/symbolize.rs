//! Names of addresses in programs that are compiled here, as compilers and linkers really leave
//! them: the expected answers follow from the sources below.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use sonde_agent::symbol::dwarf::DebugInfoLoss;
use sonde_agent::symbol::elf::{ElfFile, ElfSymbols};
use sonde_agent::symbol::{
    FileOffset, Function, Settings, Svma, Symbol, SymbolSource, Symbolizer, UnknownReason,
};
use tempfile::TempDir;

/// `outer` calls `middle`, which calls `inner`, both inlined. Lines are counted from 1.
const SOURCE: &str = "\
volatile unsigned long sink;
static inline __attribute__((always_inline)) void inner(unsigned long n) {
  sink = n * 3;
}
static inline __attribute__((always_inline)) void middle(unsigned long n) {
  inner(n + 1);
}
__attribute__((noinline)) void outer(unsigned long n) {
  middle(n + 2);
}
__attribute__((noinline)) static void hidden(unsigned long n) { sink = n + 7; }
extern unsigned long strtoul(const char *, char **, int);
int main(int argc, char **argv) {
  outer((unsigned long)argc + strtoul(argv[0], 0, 10));
  hidden(sink);
  return 0;
}
";

/// A program in a folder of its own.
struct Program {
    folder: TempDir,
    path: PathBuf,
}

impl Program {
    /// Compiles [`SOURCE`]; `None` if this machine's compiler or linker lacks an option.
    fn compile(options: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("program.c"), SOURCE).unwrap();
        let path = folder.path().join("program");
        let mut command = Command::new("cc");
        command.current_dir(&folder).args(["-O2", "program.c", "-o", "program"]).args(options);
        let output = command.output().expect("cc, as cargo needs it to link");
        output.status.success().then_some(Self { folder, path })
    }

    fn with(options: &[&str]) -> Self {
        Self::compile(options).unwrap_or_else(|| panic!("cc {options:?}"))
    }

    /// Where the symbol table says a function starts, found without the code under test.
    fn offset_of(&self, name: &str) -> FileOffset {
        offset_of(&self.path, name)
    }

    fn name_at(&self, offset: FileOffset) -> Symbol {
        symbolizer(&[]).at(&self.path, offset)
    }
}

struct Harness(Symbolizer);

fn symbolizer(debug_directories: &[&Path]) -> Harness {
    let debug_directories = debug_directories.iter().map(|path| path.to_path_buf()).collect();
    Harness(Symbolizer::new(Settings { debug_directories, ..Settings::default() }))
}

impl Harness {
    fn at(&mut self, path: &Path, offset: FileOffset) -> Symbol {
        let id = self.0.register(path.to_str().unwrap().into(), File::open(path).unwrap());
        self.0.symbolize(id, offset).1
    }
}

/// Reads the symbol table with `object`'s own reader.
fn offset_of(path: &Path, name: &str) -> FileOffset {
    use object::{Object, ObjectSegment, ObjectSymbol};
    let bytes = std::fs::read(path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name));
    let address = symbol.unwrap_or_else(|| panic!("a symbol {name}")).address();
    let segment =
        file.segments().find(|s| (s.address()..s.address() + s.size()).contains(&address));
    let segment = segment.unwrap();
    FileOffset(address - segment.address() + segment.file_range().0)
}

fn functions(symbol: &Symbol) -> &[Function] {
    match symbol {
        Symbol::Known(functions) => functions,
        Symbol::Unknown(reason) => panic!("unknown: {reason:?}"),
    }
}

fn names(symbol: &Symbol) -> Vec<&str> {
    functions(symbol).iter().map(|function| &*function.name).collect()
}

/// Name, file name and line of each function.
fn frames(symbol: &Symbol) -> Vec<(&str, &str, u32)> {
    functions(symbol)
        .iter()
        .map(|function| {
            let path = function.file.as_deref().unwrap_or_default();
            (&*function.name, path.rsplit('/').next().unwrap(), function.line)
        })
        .collect()
}

/// What an address inside `inner`, inlined in `outer`, is called.
const INLINED: [(&str, &str, u32); 3] =
    [("inner", "program.c", 3), ("middle", "program.c", 6), ("outer", "program.c", 9)];

fn expect_inlined(program: &Program) {
    let FileOffset(start) = program.offset_of("outer");
    // `outer` is one multiplication and one store: some address of its first 16 is in `inner`.
    let all: Vec<Symbol> = (start..start + 16).map(|o| program.name_at(FileOffset(o))).collect();
    assert!(all.iter().any(|symbol| frames(symbol) == INLINED), "{all:?}");
    let main = program.name_at(program.offset_of("main"));
    assert_eq!(names(&main), ["main"]);
}

#[test]
fn inlined_functions_come_innermost_first_with_file_and_line() {
    expect_inlined(&Program::with(&["-g"]));
    expect_inlined(&Program::with(&["-gdwarf-4"]));
}

#[test]
fn debug_information_that_was_let_go_is_loaded_again_only_after_some_windows() {
    let program = Program::with(&["-g"]);
    // It is let go when no new address came for some windows, fewer than these.
    let windows = 9;
    let settings = Settings { reload_after_windows: windows, ..Settings::default() };
    let mut symbolizer = Symbolizer::new(settings);
    let file = File::open(&program.path).unwrap();
    let id = symbolizer.register(program.path.to_str().unwrap().into(), file);
    let (hidden, outer) = (program.offset_of("hidden"), program.offset_of("outer"));
    let (_, first) = symbolizer.symbolize(id, hidden);
    assert!(functions(&first)[0].file.is_some(), "the first load is free");
    for _ in 1..windows {
        symbolizer.end_window();
    }
    let (_, meanwhile) = symbolizer.symbolize(id, outer);
    assert_eq!(names(&meanwhile), ["outer"], "by the symbol table");
    symbolizer.end_window();
    let (_, later) = symbolizer.symbolize(id, outer);
    assert_eq!(names(&later), ["inner", "middle", "outer"], "and not remembered without");
}

#[test]
fn placement_in_memory_makes_no_difference() {
    for options in [
        &["-g", "-no-pie"][..],
        &["-g", "-pie", "-fPIE"],
        &["-g", "-static-pie", "-fPIE"],
        &["-g", "-static"],
    ] {
        if let Some(program) = Program::compile(options) {
            expect_inlined(&program);
        }
    }
}

#[test]
fn no_linker_makes_a_difference() {
    for linker in ["-fuse-ld=bfd", "-fuse-ld=gold", "-fuse-ld=lld"] {
        if let Some(program) = Program::compile(&["-g", linker]) {
            expect_inlined(&program);
        }
    }
}

#[test]
fn compressed_debug_information_is_read() {
    expect_inlined(&Program::with(&["-g", "-gz=zlib"]));
    if let Some(program) = Program::compile(&["-g", "-gz=zstd"]) {
        expect_inlined(&program);
    }
}

#[test]
fn without_debug_information_the_symbol_table_names_local_functions_too() {
    let program = Program::with(&[]);
    for name in ["outer", "hidden", "main"] {
        let symbol = program.name_at(program.offset_of(name));
        assert_eq!(names(&symbol), [name]);
        assert_eq!(functions(&symbol)[0].file, None);
    }
}

#[test]
fn a_stripped_program_says_so_but_names_what_it_exports() {
    let whole = Program::with(&["-Wl,--export-dynamic-symbol=outer"]);
    let (outer, hidden) = (whole.offset_of("outer"), whole.offset_of("hidden"));
    let stripped = Program::with(&["-Wl,--export-dynamic-symbol=outer", "-s"]);
    assert_eq!(names(&stripped.name_at(outer)), ["outer"]);
    assert_eq!(stripped.name_at(hidden), Symbol::Unknown(UnknownReason::Stripped));
}

#[test]
fn calls_into_libraries_are_named_after_their_target() {
    let program = Program::with(&["-Wl,-z,lazy", "-fcf-protection=none"]);
    let mut symbols = ElfSymbols::new(ElfFile::open(File::open(&program.path).unwrap()).unwrap());
    let size = std::fs::metadata(&program.path).unwrap().len();
    let names: Vec<String> = (0..size)
        .filter_map(|offset| symbols.elf().svma_of(FileOffset(offset)))
        .collect::<Vec<Svma>>()
        .into_iter()
        .filter_map(|svma| symbols.name(svma).unwrap())
        .collect();
    if cfg!(target_arch = "x86_64") {
        assert!(names.iter().any(|name| name == "strtoul@plt"), "{names:?}");
    }
}

#[test]
fn a_separate_debug_file_is_found_by_build_id() {
    let program = Program::with(&["-g", "-Wl,--build-id=sha1"]);
    let outer = program.offset_of("outer");
    let elf = ElfFile::open(File::open(&program.path).unwrap()).unwrap();
    let (first, rest) = elf.build_id().split_at(2);
    let folder = program.folder.path().join("debug/.build-id").join(first);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(&program.path, folder.join(format!("{rest}.debug"))).unwrap();
    let stripped = program.folder.path().join("stripped");
    if !tool("strip", &["-o", stripped.to_str().unwrap(), program.path.to_str().unwrap()]) {
        return;
    }
    let found = symbolizer(&[&program.folder.path().join("debug")]).at(&stripped, outer);
    assert_eq!(names(&found).last(), Some(&"outer"));
    assert!(functions(&found)[0].line > 0);
    let alone = symbolizer(&[]).at(&stripped, outer);
    assert_eq!(alone, Symbol::Unknown(UnknownReason::Stripped));
}

#[test]
fn a_linked_debug_file_counts_only_with_its_checksum() {
    let program = Program::with(&["-g", "-Wl,--build-id=none"]);
    let outer = program.offset_of("outer");
    let file = |name: &str| program.folder.path().join(name);
    let (debug, stripped) = (file("program.debug"), file("stripped"));
    std::fs::copy(&program.path, &debug).unwrap();
    let link = format!("--add-gnu-debuglink={}", debug.display());
    let paths = [program.path.to_str().unwrap(), stripped.to_str().unwrap()];
    if !tool("objcopy", &["--strip-all", &link, paths[0], paths[1]]) {
        return;
    }
    assert_eq!(names(&symbolizer(&[]).at(&stripped, outer)).last(), Some(&"outer"));
    let mut bytes = std::fs::read(&debug).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&debug, bytes).unwrap();
    let changed = symbolizer(&[]).at(&stripped, outer);
    assert_eq!(changed, Symbol::Unknown(UnknownReason::Stripped));
}

/// Whether a tool of binutils did its work; cc needs only some of them.
fn tool(name: &str, arguments: &[&str]) -> bool {
    Command::new(name).args(arguments).status().is_ok_and(|status| status.success())
}

#[test]
fn rust_names_are_readable_and_inlined() {
    const RUST: &str = "\
mod deep {
    #[inline(always)]
    pub fn inlined(n: u64) -> u64 { std::hint::black_box(n) * 3 }
    #[inline(never)]
    pub fn called<T: Into<u64>>(n: T) -> u64 { inlined(n.into()) }
}
fn main() { std::process::exit((deep::called(4_u32) & 1) as i32); }
";
    for mangling in ["legacy", "v0"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        std::fs::write(folder.path().join("program.rs"), RUST).unwrap();
        let mut rustc = Command::new(std::env::var("RUSTC").unwrap_or("rustc".into()));
        rustc.current_dir(&folder).args(["-O", "-g", "program.rs"]);
        let flag = format!("-Csymbol-mangling-version={mangling}");
        let mut arguments = vec![flag.as_str()];
        if mangling == "legacy" {
            arguments.push("-Zunstable-options");
            rustc.env("RUSTC_BOOTSTRAP", "1");
        }
        assert!(rustc.args(arguments).status().unwrap().success());
        let FileOffset(start) = offset_containing(&path, "called");
        let mut symbolizer = symbolizer(&[]);
        let all: Vec<Symbol> =
            (start..start + 16).map(|o| symbolizer.at(&path, FileOffset(o))).collect();
        let inlined = all.iter().find(|symbol| names(symbol).contains(&"program::deep::inlined"));
        let inlined = inlined.unwrap_or_else(|| panic!("{all:?}"));
        assert!(names(inlined).last().unwrap().starts_with("program::deep::called"), "{inlined:?}");
    }
}

/// The offset of the first function whose mangled name has `part` in it.
fn offset_containing(path: &Path, part: &str) -> FileOffset {
    use object::{Object, ObjectSymbol};
    let bytes = std::fs::read(path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let name = file.symbols().find_map(|s| s.name().ok().filter(|name| name.contains(part)));
    offset_of(path, name.unwrap())
}

#[test]
fn this_test_names_itself() {
    #[inline(never)]
    fn a_function_of_this_test(n: u64) -> u64 {
        std::hint::black_box(n) + 1
    }
    assert_eq!(a_function_of_this_test(1), 2);
    let path = std::env::current_exe().unwrap();
    let offset = offset_containing(&path, "a_function_of_this_test");
    let symbol = symbolizer(&[]).at(&path, offset);
    let outermost = functions(&symbol).last().unwrap();
    assert!(outermost.name.ends_with("a_function_of_this_test"), "{outermost:?}");
    assert!(outermost.file.as_deref().unwrap().ends_with("symbolize.rs"), "{outermost:?}");
}

#[test]
fn the_vdso_is_named_like_a_file() {
    let elf = match sonde_agent::symbol::vdso::read_own() {
        // Some sandboxes have none.
        Err(sonde_agent::symbol::vdso::VdsoError::Absent) => return,
        other => other.unwrap(),
    };
    let mut symbolizer = Symbolizer::new(Settings { max_open_files: 0, ..Settings::default() });
    let id = symbolizer.register_image("[vdso]".into(), elf);
    let path = std::env::current_exe().unwrap();
    symbolizer.register("test".into(), File::open(path).unwrap());
    let found = (0..0x2000).map(|offset| symbolizer.symbolize(id, FileOffset(offset)).1);
    let mut known = found.filter(|symbol| matches!(symbol, Symbol::Known(_)));
    assert!(known.any(|symbol| names(&symbol)[0].contains("clock_gettime")));
}

/// Runs a tool that the test cannot do without.
fn must(folder: &Path, program: &str, words: &[&str]) {
    let output = Command::new(program).current_dir(folder).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {words:?}: {output:?}");
}

#[test]
fn symbols_embedded_in_a_stripped_program_are_read() {
    let program = Program::with(&[]);
    let hidden = program.offset_of("hidden");
    let folder = program.folder.path();
    must(folder, "objcopy", &["--only-keep-debug", "program", "mini"]);
    must(folder, "strip", &["program"]);
    assert_eq!(program.name_at(hidden), Symbol::Unknown(UnknownReason::Stripped));
    must(folder, "xz", &["mini"]);
    must(folder, "objcopy", &["--add-section", ".gnu_debugdata=mini.xz", "program"]);
    assert_eq!(names(&program.name_at(hidden)), ["hidden"]);
}

#[test]
fn debug_information_split_off_at_compile_time_is_found() {
    expect_inlined(&Program::with(&["-g", "-gsplit-dwarf"]));
    expect_inlined(&Program::with(&["-gdwarf-4", "-gsplit-dwarf"]));
}

#[test]
fn what_was_split_off_and_is_gone_is_counted_and_lines_stay() {
    let program = Program::with(&["-g", "-gsplit-dwarf"]);
    for entry in std::fs::read_dir(program.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "dwo") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let mut symbolizer = symbolizer(&[]);
    let symbol = symbolizer.at(&program.path, program.offset_of("hidden"));
    assert_eq!(frames(&symbol)[0].0, "hidden");
    assert!(functions(&symbol)[0].line > 0, "{symbol:?}");
    let counts = symbolizer.0.counts();
    let missing = counts.debug_info().find(|(loss, _)| *loss == DebugInfoLoss::SplitMissing);
    assert_eq!(missing, Some((DebugInfoLoss::SplitMissing, 1)));
    let file = File::open(&program.path).unwrap();
    let id = symbolizer.0.register(program.path.to_str().unwrap().into(), file);
    let losing = SymbolSource::Losing(SymbolSource::DebugInfo.into(), DebugInfoLoss::SplitMissing);
    assert_eq!(symbolizer.0.source(id), losing);
}

#[test]
fn where_the_names_of_a_file_come_from_is_said() {
    let source = |path: &Path, directories: &[&Path]| {
        let Harness(mut symbolizer) = symbolizer(directories);
        let id = symbolizer.register(path.to_str().unwrap().into(), File::open(path).unwrap());
        symbolizer.source(id)
    };
    let debug = Program::with(&["-g", "-Wl,--build-id=sha1"]);
    assert_eq!(source(&debug.path, &[]), SymbolSource::DebugInfo);
    assert_eq!(source(&Program::with(&[]).path, &[]), SymbolSource::SymbolTable);
    let stripped = Program::with(&["-s", "-static"]);
    let none = SymbolSource::None(UnknownReason::Stripped);
    assert_eq!(source(&stripped.path, &[]), none);
    let exports = Program::with(&["-s"]);
    let dynamic = SymbolSource::DynamicSymbols(UnknownReason::Stripped);
    assert_eq!(source(&exports.path, &[]), dynamic);
    let script = debug.folder.path().join("program.c");
    assert_eq!(source(&script, &[]), SymbolSource::None(UnknownReason::NotReadable));

    let elf = ElfFile::open(File::open(&debug.path).unwrap()).unwrap();
    let (first, rest) = elf.build_id().split_at(2);
    let directory = debug.folder.path().join("debug");
    let place = directory.join(".build-id").join(first);
    std::fs::create_dir_all(&place).unwrap();
    let file = place.join(format!("{rest}.debug"));
    must(debug.folder.path(), "objcopy", &["--only-keep-debug", "program", "mini"]);
    std::fs::copy(debug.folder.path().join("mini"), &file).unwrap();
    must(debug.folder.path(), "strip", &["program"]);
    assert_eq!(source(&debug.path, &[&directory]), SymbolSource::SeparateFile(file));
    must(debug.folder.path(), "xz", &["mini"]);
    must(debug.folder.path(), "objcopy", &["--add-section", ".gnu_debugdata=mini.xz", "program"]);
    assert_eq!(source(&debug.path, &[]), SymbolSource::Embedded);
}

#[test]
fn code_that_a_symbol_table_leaves_out_is_not_called_stripped() {
    let program = Program::with(&[]);
    let nameless = r#"__asm__(".text\n.skip 64, 0x90\nbehind:\n");"#;
    std::fs::write(program.folder.path().join("program.c"), format!("{nameless}\n{SOURCE}"))
        .unwrap();
    must(program.folder.path(), "cc", &["program.c", "-o", "program", "-nostartfiles"]);
    let FileOffset(behind) = program.offset_of("behind");
    let symbol = program.name_at(FileOffset(behind - 32));
    assert_eq!(symbol, Symbol::Unknown(UnknownReason::NotInSymbolTable));
}

#[test]
fn debug_information_split_off_by_another_compilation_is_not_believed() {
    let program = Program::with(&["-g", "-gsplit-dwarf"]);
    let outer = program.offset_of("outer");
    let folder = program.folder.path();
    let dwo = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let dwo = dwo.into_iter().find(|path| path.extension().is_some_and(|e| e == "dwo")).unwrap();
    let source = SOURCE.replace("inner", "other");
    std::fs::write(folder.join("program.c"), source).unwrap();
    let name = dwo.file_stem().unwrap().to_str().unwrap().to_owned();
    let object = format!("{name}.o");
    must(folder, "cc", &["-O2", "-g", "-gsplit-dwarf", "-c", "program.c", "-o", &object]);
    assert!(!names(&program.name_at(outer)).contains(&"other"), "{dwo:?}");
}

#[test]
fn a_package_of_split_debug_information_is_found_beside_the_program() {
    // What makes packages here knows of no later version.
    let program = Program::with(&["-gdwarf-4", "-gsplit-dwarf"]);
    let folder = program.folder.path();
    must(folder, "dwp", &["-e", "program", "-o", "program.dwp"]);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "dwo") {
            std::fs::remove_file(path).unwrap();
        }
    }
    expect_inlined(&program);
}
