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
//! the first row of its 256 bytes takes the row before. Where the rule is a run, its steps lie in the
//! same 256 bytes as the row.

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

/// Steps of the search in 256 bytes of text that have more rows than [`STEPS`] find: at most 256.
const FAR_STEPS: [u32; 6] = [128, 64, 32, 16, 8, 8];
/// Steps of every search. Nineteen in twenty pieces of 256 bytes have no more than seven rows.
const STEPS: [u32; 3] = [4, 2, 1];
/// What [`STEPS`] add up to.
const NEAR_ROWS: u32 = 7;
/// Added to a distance, it makes that one behind all steps of a run.
const ELSEWHERE: u32 = Rule::RUN_BYTES;

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
    let first = u32::from(page.u16(INDEX_AT + 2 * bucket));
    let end = u32::from(page.u16(INDEX_AT + 2 * bucket + 2));
    let behind = rows_up_to(page, first, end, key);
    let row = u32::from(page.u16(row_at(behind.wrapping_sub(1))));
    let (row_key, number) = (row & 0xff, row >> 8);
    // Runs end where their 256 bytes do: of a row before those all steps are passed.
    let elsewhere = ELSEWHERE & !(first.wrapping_sub(behind) >> (31 - ELSEWHERE.trailing_zeros()));
    let distance = key.wrapping_sub(row_key) & 0xff | elsewhere;
    Rule(page.u32(u32::from(page.u16(RULES_AT)) + 4 * number)).at(distance)
}

/// Where, of rows `first..end`, the first one above `key` is; else `end`.
#[inline(always)]
fn rows_up_to<P: PageBytes>(page: &P, first: u32, end: u32, key: u32) -> u32 {
    let mut low = first;
    if end.wrapping_sub(first) > NEAR_ROWS {
        for step in FAR_STEPS {
            low = forward(page, low, step, end, key);
        }
    }
    for step in STEPS {
        low = forward(page, low, step, end, key);
    }
    low
}

/// `low + step` if the row before that is one of those before `end` and not above `key`; else `low`.
///
/// Without a branch: the verifier follows both ways of each, and what comes after is searched for
/// every answer before. The sign of a difference is moved to where `step` has its bit, as a mask of
/// signs is what the compiler makes a branch of.
#[inline(always)]
fn forward<P: PageBytes>(page: &P, low: u32, step: u32, end: u32, key: u32) -> u32 {
    let next = low.wrapping_add(step);
    let row_key = u32::from(page.u8(row_at(next.wrapping_sub(1))));
    let not_there = key.wrapping_sub(row_key) | end.wrapping_sub(next);
    next.wrapping_sub(not_there >> (31 - step.trailing_zeros()) & step)
}

/// Where a row stands.
#[inline(always)]
const fn row_at(number: u32) -> u32 {
    ROWS_AT.wrapping_add(number.wrapping_mul(2))
}
