//! Call frame information as DWARF and the System V ABI define it: which descriptions (FDEs) cover
//! an address, and what rules they state. Everything here may lie: sizes are bounded, positions
//! checked, and what makes no sense is left out.

mod cursor;
mod entry;
mod expression;
mod index;
mod program;
mod section;
mod window;

pub(super) use program::{Target, run};
pub(super) use section::FrameSection;

/// Why a file's frame descriptions can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CfiError {
    /// The file has none.
    #[error("the file has no frame descriptions")]
    None,
    /// A machine whose registers we do not know.
    #[error("the file is for another machine")]
    ForeignMachine,
    /// The bytes can't be had.
    #[error(transparent)]
    Read(#[from] crate::symbol::image::ReadError),
    /// They lead in circles.
    #[error("its frame descriptions refer to one another without end")]
    TooCostly,
    /// A compressed section that can't be unpacked.
    #[error("its compressed section can't be unpacked")]
    Compressed,
}
