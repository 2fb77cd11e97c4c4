//! What the tables of a whole file would take: for benches, nothing is kept.

use sonde_ebpf::unwind::PAGE_TEXT_BYTES;

use super::{
    CfiError,
    file::{Layout, Source},
};
use crate::symbol::elf::ElfFile;

/// Tables of a whole file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableSize {
    /// Pages, of 64 KiB of text each.
    pub pages: u64,
    /// Rows that they tell, after neighbours that say the same were merged.
    pub rows: u64,
    /// Bytes of all pages.
    pub bytes: u64,
    /// Bytes that stay in memory while the file is open.
    pub held_bytes: u64,
}

/// Builds every page of a file, as the first samples in each would.
///
/// # Errors
/// If the file has no descriptions that can be used.
pub fn measure(elf: &ElfFile) -> Result<TableSize, CfiError> {
    let layout = Layout::of(elf);
    let mut source = Source::open(elf)?;
    let mut size = TableSize::default();
    for page in 0..u64::from(layout.pages) {
        let rows = source.rows((layout.first_page + page) * PAGE_TEXT_BYTES);
        size.pages += 1;
        size.rows += rows.len() as u64;
        size.bytes += rows.encode().len() as u64;
    }
    size.held_bytes = source.memory_bytes();
    Ok(size)
}
