//! Tables to unwind by: from the `.eh_frame` of files to the pages that the kernel side reads, and
//! the rest of a walk that the kernel side could not finish. Opens no files: images are passed in.
//!
//! The life of a page: a walk in the kernel needs the rule for an address whose 64 KiB of text have
//! no page yet. It ends there, and the sample carries the registers and the stack from there on.
//! [`Unwinder::resume`] builds the page from the file's frame descriptions, puts it into the arena
//! that both sides see, and goes on with the same rules and the same code as the kernel would. The
//! next walk finds the page. What was not used for long makes room for others.

#![forbid(unsafe_code)]

mod arena;
mod cfi;
mod code;

#[cfg(test)]
mod cut_tests;
mod derive;
mod directory;
mod file;
mod fold;
mod gaps;
#[cfg(test)]
mod made_elf;
mod measure;
mod memory;
#[cfg(test)]
mod oracle_tests;
mod page;
mod ranges;
mod resume;
mod trial;
mod unwinder;

pub use arena::ArenaCounts;
pub use cfi::CfiError;
pub use code::CodeTable;
pub use measure::{BuiltPage, TableSize, build_all, measure};
pub use trial::{try_tables, try_walk};
pub use unwinder::{UnwindCounts, Unwinder};
