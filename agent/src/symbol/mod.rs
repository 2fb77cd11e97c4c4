//! Addresses to functions. Knows files and their symbol tables; knows nothing of processes or samples.

#![forbid(unsafe_code)]

mod binary;
pub mod demangle;
pub mod dwarf;
pub mod elf;
mod files;
pub mod go;
pub mod image;
pub mod kallsyms;
pub mod perf_map;
mod recent;
mod symbolizer;
pub mod vdso;

use std::sync::Arc;

pub use files::{FileId, Held};
pub use symbolizer::{Settings, SymbolCounts, Symbolizer};

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

/// Why an address has no name. The label is what frames and metrics show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnknownReason {
    /// The file has no symbol that covers the address.
    Stripped,
    /// No mapping of the process covered the address when it was sampled.
    NoMapping,
    /// Executable memory without a file, and the runtime wrote no perf map.
    JitWithoutPerfMap,
    /// The runtime's perf map does not cover the address.
    NotInPerfMap,
    /// The file could not be opened any more.
    FileGone,
    /// The file is not an ELF file that can be read: truncated, corrupt, or something else.
    NotReadable,
    /// The kernel hides its symbols from us.
    KernelSymbolsHidden,
    /// The process was gone before anything was known of its mappings.
    ProcessGone,
}

impl UnknownReason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 8] = [
        Self::Stripped,
        Self::NoMapping,
        Self::JitWithoutPerfMap,
        Self::NotInPerfMap,
        Self::FileGone,
        Self::NotReadable,
        Self::KernelSymbolsHidden,
        Self::ProcessGone,
    ];

    /// The words a frame shows: `[stripped: nginx]` is this label and the file's name.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Stripped => "stripped",
            Self::NoMapping => "no mapping",
            Self::JitWithoutPerfMap => "jit without perf map",
            Self::NotInPerfMap => "not in perf map",
            Self::FileGone => "file gone",
            Self::NotReadable => "not readable",
            Self::KernelSymbolsHidden => "kernel symbols hidden",
            Self::ProcessGone => "process gone",
        }
    }
}
