//! The table of 64 KiB of text, complete in itself: index, rows, and the rules they name.
//!
//! ```text
//!  0        4      8          10     16              530     536                    rules_at
//!  ┌────────┬──────┬──────────┬──────┬───────────────┬───────┬──────────────────────┬─────────────┐
//!  │ gener- │ last │ rules_at │ -    │ 257 × u16:    │ -     │ rows, 2 bytes each:  │ rules, 4    │
//!  │ ation  │ used │ u16      │      │ first row of  │       │ low byte of address, │ bytes each  │
//!  │ u32    │ u32  │          │      │ each 256 bytes│       │ number of its rule   │ (at most 256)│
//!  └────────┴──────┴──────────┴──────┴───────────────┴───────┴──────────────────────┴─────────────┘
//! ```
//! A row holds from its address to the next row. Row 0 is for address 0, so that an address below
//! the first row of its 256 bytes takes the row before.

use super::rule::Rule;

/// Bytes of text that one page tells of.
pub const PAGE_TEXT_BYTES: u64 = 1 << 16;
/// Bytes before the index.
pub const HEADER_BYTES: usize = 16;
/// Where the time of the last use stands: the agent's epoch, written by the programs.
pub const USED_AT: u32 = 4;
/// Where the place of the rules stands.
pub const RULES_AT: u32 = 8;
/// Where the index begins.
pub const INDEX_AT: u32 = HEADER_BYTES as u32;
/// Where the rows begin.
pub const ROWS_AT: u32 = 536;
/// A page is never larger than what one element of the arena holds.
pub const MAX_PAGE_BYTES: usize = 1 << 16;

/// Halvings that surely find one of 256 rows.
const HALVINGS: u32 = 9;

/// Reads of a page. Positions count from its start and are the page's own, so an implementation
/// must bound them itself.
pub trait PageBytes {
    /// One byte.
    fn u8(&self, at: u32) -> u8;
    /// Two bytes; `at` is even.
    fn u16(&self, at: u32) -> u16;
    /// Four bytes; `at` is a multiple of four.
    fn u32(&self, at: u32) -> u32;
}

/// The rule for an address, of which only the lower 16 bits matter here.
#[inline(always)]
pub fn find_rule<P: PageBytes>(page: &P, svma: u64) -> Rule {
    let bucket = (svma >> 8) as u32 & 0xff;
    let key = svma as u32 & 0xff;
    let mut low = u32::from(page.u16(INDEX_AT + 2 * bucket));
    let mut high = u32::from(page.u16(INDEX_AT + 2 * bucket + 2));
    for _ in 0..HALVINGS {
        if low >= high {
            break;
        }
        let middle = (low + high) >> 1;
        // All ones if the row is above the address. Without a branch: the verifier would follow
        // both ways of each.
        let above =
            (key.wrapping_sub(u32::from(page.u8(ROWS_AT + 2 * middle))) as i32 >> 31) as u32;
        low = (middle + 1) & !above | low & above;
        high = middle & above | high & !above;
    }
    let number = u32::from(page.u8(ROWS_AT + 2 * low.wrapping_sub(1) + 1));
    Rule(page.u32(u32::from(page.u16(RULES_AT)) + 4 * number))
}
