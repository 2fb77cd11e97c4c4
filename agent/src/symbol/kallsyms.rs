//! Names of kernel functions from `/proc/kallsyms`. Takes its text; opens nothing.
//!
//! A line is `address type name [module]`. The table keeps functions only, 16 bytes each, with all
//! names in one string: some 150,000 functions in 6 MB.

use std::io::{self, BufRead};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::demangle::{self, demangle};
use super::{Function, Symbol, UnknownReason};

/// An address in the kernel's half of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelAddress(pub u64);

/// Kernels with everything built in have about 300,000 functions.
const MAX_FUNCTIONS: usize = 2_000_000;
/// All names together, in bytes.
const MAX_NAMES: usize = 64 << 20;
/// Kernel names are at most 512 bytes long.
const MAX_LINE: u64 = 4_096;
/// No function is larger: what lies farther behind the last one before it, in bytes, is not in it.
const MAX_FUNCTION: u64 = 4 << 20;

/// Where a kernel function belongs: the kernel itself, a module, BPF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSymbol {
    /// `[kernel]`, `[bpf]`, or the module's name in brackets.
    pub binary: Arc<str>,
    /// Its name, or why it has none.
    pub symbol: Symbol,
}

/// The functions of the running kernel, by address.
#[derive(Debug)]
pub struct KernelSymbols {
    functions: Box<[KernelFunction]>,
    names: Box<str>,
    binaries: Vec<Arc<str>>,
    hidden: bool,
    skipped: u64,
}

#[derive(Clone, Copy, Debug)]
struct KernelFunction {
    start: u64,
    /// Offset in `names`.
    name: u32,
    name_length: u16,
    /// Index in `binaries`.
    binary: u16,
}

const KERNEL: u16 = 0;
const BPF: u16 = 1;

impl KernelSymbols {
    /// Reads the text of `/proc/kallsyms`. Lines that make no sense are skipped and counted.
    ///
    /// # Errors
    /// Passes on the reader's.
    pub fn parse(reader: impl BufRead) -> io::Result<Self> {
        let mut parser = Parser::new();
        let mut reader = reader;
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = io::Read::take(&mut reader, MAX_LINE);
            if limited.read_until(b'\n', &mut line)? == 0 {
                return Ok(parser.finish());
            }
            parser.line(&line);
        }
    }

    /// The function at `address`.
    #[must_use]
    pub fn symbolize(&self, address: KernelAddress) -> KernelSymbol {
        let Some(function) = self.find(address) else {
            let reason = if self.hidden {
                UnknownReason::KernelSymbolsHidden
            } else {
                UnknownReason::Stripped
            };
            let binary = Arc::clone(&self.binaries[usize::from(KERNEL)]);
            return KernelSymbol { binary, symbol: Symbol::Unknown(reason) };
        };
        let binary = Arc::clone(&self.binaries[usize::from(function.binary)]);
        let start = function.name as usize;
        let name = &self.names[start..start + usize::from(function.name_length)];
        let function = Function {
            // Rust code in the kernel is mangled as everywhere.
            name: demangle(name).into(),
            system_name: name.into(),
            file: None,
            line: 0,
        };
        KernelSymbol { binary, symbol: Symbol::Known(Arc::new([function])) }
    }

    /// Whether the address is named. Where it is not, a module or BPF program may have been loaded
    /// since, and reading the table again may help.
    #[must_use]
    pub fn covers(&self, address: KernelAddress) -> bool {
        self.find(address).is_some()
    }

    /// Whether the kernel shows us names without their addresses.
    #[must_use]
    pub const fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Functions in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.functions.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// Lines that were not understood or did not fit.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.functions) + self.names.len()
    }

    fn find(&self, address: KernelAddress) -> Option<&KernelFunction> {
        let behind = self.functions.partition_point(|function| function.start <= address.0);
        let function = &self.functions[behind.checked_sub(1)?];
        (address.0 - function.start < MAX_FUNCTION).then_some(function)
    }
}

struct Parser {
    functions: Vec<KernelFunction>,
    names: String,
    binaries: Vec<Arc<str>>,
    binary_of_module: FxHashMap<Box<str>, u16>,
    saw_address: bool,
    saw_function: bool,
    skipped: u64,
}

impl Parser {
    fn new() -> Self {
        Self {
            functions: Vec::new(),
            names: String::new(),
            binaries: vec!["[kernel]".into(), "[bpf]".into()],
            binary_of_module: FxHashMap::default(),
            saw_address: false,
            saw_function: false,
            skipped: 0,
        }
    }

    fn line(&mut self, line: &[u8]) {
        match Line::parse(line) {
            Some(line) if line.is_function() => self.function(&line),
            Some(_) => {}
            None => self.skipped += 1,
        }
    }

    fn function(&mut self, line: &Line<'_>) {
        self.saw_function = true;
        if line.address == 0 {
            return;
        }
        self.saw_address = true;
        let full = self.functions.len() >= MAX_FUNCTIONS
            || self.names.len() + line.name.len() > MAX_NAMES
            || line.name.len() > demangle::MAX_NAME;
        let Some(binary) = self.binary(line).filter(|_| !full) else {
            self.skipped += 1;
            return;
        };
        // Both fit: the limits above are far below.
        let name = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name_length = u16::try_from(line.name.len()).unwrap_or(u16::MAX);
        self.names.push_str(line.name);
        self.functions.push(KernelFunction { start: line.address, name, name_length, binary });
    }

    /// The index of the line's module; none when there are more than 65,536.
    fn binary(&mut self, line: &Line<'_>) -> Option<u16> {
        let Some(module) = line.module else {
            return Some(if line.is_bpf_program() { BPF } else { KERNEL });
        };
        if module == "bpf" {
            return Some(BPF);
        }
        if let Some(&index) = self.binary_of_module.get(module) {
            return Some(index);
        }
        let index = u16::try_from(self.binaries.len()).ok()?;
        self.binaries.push(format!("[{module}]").into());
        self.binary_of_module.insert(module.into(), index);
        Some(index)
    }

    fn finish(mut self) -> KernelSymbols {
        // Stable: of several names for one address the first listed stays.
        self.functions.sort_by_key(|function| function.start);
        self.functions.dedup_by_key(|function| function.start);
        KernelSymbols {
            functions: self.functions.into_boxed_slice(),
            names: self.names.into_boxed_str(),
            binaries: self.binaries,
            hidden: self.saw_function && !self.saw_address,
            skipped: self.skipped,
        }
    }
}

struct Line<'a> {
    address: u64,
    kind: u8,
    name: &'a str,
    module: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        let [kind] = *words.next()?.as_bytes() else { return None };
        let name = words.next()?;
        let module = match words.next() {
            Some(module) => Some(module.strip_prefix('[')?.strip_suffix(']')?),
            None => None,
        };
        Some(Self { address, kind, name, module })
    }

    /// Code has type `t`, or `w` where it may be replaced; capital letters are global.
    const fn is_function(&self) -> bool {
        matches!(self.kind, b't' | b'T' | b'w' | b'W')
    }

    /// `bpf_prog_`, 16 hex digits of its tag, and perhaps its name.
    fn is_bpf_program(&self) -> bool {
        self.name.strip_prefix("bpf_prog_").is_some_and(|rest| {
            rest.len() >= 16 && rest.as_bytes()[..16].iter().all(u8::is_ascii_hexdigit)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "\
0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000040 t secondary_startup_64
ffffffff81000100 W arch_weak
ffffffff82000000 D data_object
ffffffffc0123000 t ext4_read\t[ext4]
ffffffffc0200000 t bpf_prog_6deef7357e7b4530_cpu_sample\t[bpf]
ffffffffc0201000 t bpf_prog_0123456789abcdef
ffffffffc0202000 t bpf_prog_load
not a line
";

    fn name(symbols: &KernelSymbols, address: u64) -> (String, String) {
        let found = symbols.symbolize(KernelAddress(address));
        let name = match found.symbol {
            Symbol::Known(functions) => functions[0].name.to_string(),
            Symbol::Unknown(reason) => reason.label().to_owned(),
        };
        (found.binary.to_string(), name)
    }

    fn sample() -> KernelSymbols {
        KernelSymbols::parse(SAMPLE.as_bytes()).expect("reading memory works")
    }

    #[test]
    fn a_function_reaches_to_the_next_and_its_first_name_stays() {
        let symbols = sample();
        assert_eq!(name(&symbols, 0xffff_ffff_8100_003f), ("[kernel]".into(), "_stext".into()));
        assert_eq!(name(&symbols, 0xffff_ffff_8100_0040).1, "secondary_startup_64");
        assert_eq!(name(&symbols, 0xffff_ffff_8100_0101).1, "arch_weak");
    }

    #[test]
    fn modules_and_bpf_programs_are_binaries_of_their_own() {
        let symbols = sample();
        assert_eq!(name(&symbols, 0xffff_ffff_c012_3001), ("[ext4]".into(), "ext4_read".into()));
        assert_eq!(name(&symbols, 0xffff_ffff_c020_0001).0, "[bpf]");
        assert_eq!(name(&symbols, 0xffff_ffff_c020_1001).0, "[bpf]");
        assert_eq!(name(&symbols, 0xffff_ffff_c020_2001).0, "[kernel]");
    }

    #[test]
    fn data_and_what_lies_before_or_far_behind_any_function_is_not_named() {
        let symbols = sample();
        for address in [0x1000, 0xffff_ffff_8200_0010, u64::MAX] {
            assert_eq!(name(&symbols, address).1, "stripped");
            assert!(!symbols.covers(KernelAddress(address)));
        }
        assert_eq!(symbols.skipped(), 1);
    }

    #[test]
    fn addresses_that_are_all_zero_mean_hidden() {
        let text = "0000000000000000 T _stext\n0000000000000000 t other\n";
        let symbols = KernelSymbols::parse(text.as_bytes()).expect("reading memory works");
        assert!(symbols.is_hidden());
        assert_eq!(name(&symbols, 0xffff_ffff_8100_0000).1, "kernel symbols hidden");
    }

    #[test]
    fn two_hundred_thousand_functions_take_less_than_ten_megabytes() {
        let lines: String = (0..200_000_u64)
            .map(|i| {
                format!("{:016x} t some_kernel_function_{i}\n", 0xffff_ffff_8100_0000 + i * 64)
            })
            .collect();
        let symbols = KernelSymbols::parse(lines.as_bytes()).expect("reading memory works");
        assert_eq!(symbols.len(), 200_000);
        assert!(symbols.memory_bytes() < 10 << 20, "{} bytes", symbols.memory_bytes());
    }

    #[test]
    fn a_line_without_end_is_skipped() {
        let text = format!("ffffffff81000000 t {}\nffffffff81000040 t short\n", "x".repeat(10_000));
        let symbols = KernelSymbols::parse(text.as_bytes()).expect("reading memory works");
        assert_eq!(name(&symbols, 0xffff_ffff_8100_0041).1, "short");
        assert_eq!(symbols.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken(text in "([0-9a-f]{0,17} [tTdA] [ -~]{0,20}( \\[[a-z]{0,4}\\])?\n|[ -~\n]{0,40}){0,20}") {
            let symbols = KernelSymbols::parse(text.as_bytes()).expect("reading memory works");
            let _ = symbols.symbolize(KernelAddress(u64::MAX));
            let _ = symbols.symbolize(KernelAddress(0x1234));
        }
    }
}
