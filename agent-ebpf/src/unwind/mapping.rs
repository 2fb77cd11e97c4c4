//! Where the code of a process lies, as the agent tells the kernel side. All of it stands in arrays
//! that the agent maps into its memory and writes; the programs only read.

/// The code of one process: `count` elements of `MAPPINGS` from `first` on, sorted by address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessCode {
    /// First element.
    pub first: u32,
    /// How many; 0 of a process that is about to be told.
    pub count: u32,
}

/// One executable mapping.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MappedCode {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// What to take from an address to get the file's own (SVMA), modulo 2^64.
    pub bias: u64,
    /// The element of `DIRECTORY` for the SVMAs below 64 Ki, modulo 2^32: element
    /// `directory + svma / 64 Ki` is the one for an address.
    pub directory: u32,
    /// A [`MappingKind`].
    pub kind: u32,
}

/// How the code of a mapping is unwound.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingKind {
    /// By tables.
    Tables = 0,
    /// By frame pointers: the file has no tables, and its code keeps them.
    FramePointers = 1,
    /// By frame pointers as long as they hold: code made at run time.
    Jit = 2,
    /// Not at all: the file can't be read, or has no tables and keeps no frame pointers.
    Opaque = 3,
}

/// Where the table of 64 KiB of text is.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Position in the arena in units of 512 bytes, plus one; 0 if it is not loaded.
    pub place: u32,
    /// What the page's first word must be, or another page has taken its place meanwhile.
    pub generation: u32,
}

impl DirectoryEntry {
    /// Bytes in a unit of [`Self::place`].
    pub const UNIT_BYTES: usize = 512;
}

const _: () = assert!(size_of::<ProcessCode>() == 8, "no padding: the programs read these bytes");
const _: () = assert!(size_of::<MappedCode>() == 32, "no padding: the programs read these bytes");
const _: () = assert!(size_of::<DirectoryEntry>() == 8, "one load reads both");

#[cfg(feature = "user")]
mod pod {
    use super::{DirectoryEntry, MappedCode, ProcessCode};
    // SAFETY: `repr(C)`, no padding (asserted above), and every bit pattern is a valid value.
    unsafe impl aya::Pod for ProcessCode {}
    // SAFETY: as above.
    unsafe impl aya::Pod for MappedCode {}
    // SAFETY: as above.
    unsafe impl aya::Pod for DirectoryEntry {}
}
