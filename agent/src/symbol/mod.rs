//! Addresses to functions. Knows files and their symbol tables; knows nothing of processes or samples.

#![forbid(unsafe_code)]

mod binary;
mod budget;
mod code_ranges;
pub mod debuginfod;
pub mod demangle;
pub mod dwarf;
pub mod elf;
mod files;
pub mod go;
pub mod image;
pub mod jit_dump;
pub mod kallsyms;
pub mod perf_map;
mod recent;
mod runtime_names;
mod source;
mod symbolizer;
mod unknown;
pub mod vdso;

use std::sync::Arc;

pub use files::{FileId, Held};
pub use source::SymbolSource;
pub use symbolizer::{Settings, SymbolCounts, Symbolizer};
pub use unknown::UnknownReason;

/// An address as a file's own symbol table counts it ("stated virtual memory address"): what `nm`
/// and `objdump` print. Never a process address, never a file offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Svma(pub u64);

/// A byte position in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileOffset(pub u64);

/// One function at an address. An address has several when calls were inlined there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// Demangled, for people.
    pub name: Arc<str>,
    /// As the symbol table spells it; the same as `name` where nothing was mangled.
    pub system_name: Arc<str>,
    /// Source file, where debug information tells it.
    pub file: Option<Arc<str>>,
    /// Line in `file`; 0 where unknown.
    pub line: u32,
}

/// What an address is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symbol {
    /// Innermost inlined function first, the function that was really called last; never empty.
    Known(Arc<[Function]>),
    /// Nothing names it, and why.
    Unknown(UnknownReason),
}
