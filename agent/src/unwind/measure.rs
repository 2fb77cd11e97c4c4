//! The tables of a whole file: for benches, nothing is kept of them.

use sonde_ebpf::unwind::{PAGE_TEXT_BYTES, Rule, find_rule};

use super::{
    CfiError,
    file::{Layout, Source},
    page::OwnPage,
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

/// The table of 64 KiB of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltPage {
    /// First byte of the text (SVMA).
    pub svma: u64,
    /// The page as the kernel side reads it, but for its generation and time of use.
    pub bytes: Vec<u8>,
}

impl BuiltPage {
    /// Every address of the text at which another rule begins to hold, and that rule.
    pub fn rules(&self) -> impl Iterator<Item = (u64, Rule)> {
        let page = OwnPage(&self.bytes);
        let mut last = None;
        (self.svma..self.svma + PAGE_TEXT_BYTES).filter_map(move |svma| {
            let rule = find_rule(&page, svma);
            (last.replace(rule) != Some(rule)).then_some((svma, rule))
        })
    }
}

/// Builds every page of a file, as the first samples in each would.
///
/// # Errors
/// If the file has no descriptions that can be used.
pub fn build_all(elf: &ElfFile) -> Result<impl Iterator<Item = BuiltPage>, CfiError> {
    let pages = Layout::of(elf).starts();
    let mut source = Source::open(elf)?;
    Ok(pages.map(move |svma| BuiltPage { svma, bytes: source.rows(svma).encode() }))
}

/// Builds every page of a file and says what they take.
///
/// # Errors
/// If the file has no descriptions that can be used.
pub fn measure(elf: &ElfFile) -> Result<TableSize, CfiError> {
    let pages = Layout::of(elf).starts();
    let mut source = Source::open(elf)?;
    let mut size = TableSize::default();
    for svma in pages {
        let rows = source.rows(svma);
        size.pages += 1;
        size.rows += rows.len() as u64;
        size.bytes += rows.encode().len() as u64;
    }
    size.held_bytes = source.memory_bytes();
    Ok(size)
}
