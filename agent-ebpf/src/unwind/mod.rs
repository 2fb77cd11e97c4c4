//! Unwinding by tables: what a table says of an address, and what follows for the caller. One code
//! for both sides, over "read a word"; no maps, no helpers, no files.
//!
//! ```text
//!  pc ── mapping ──► svma ── directory, by 64 KiB of text ──► page ── row ──► rule
//!                                                                             │
//!              caller's pc, sp, fp ◄── step, with the stack's words ◄─────────┘
//! ```

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bit fields: what a cast cuts off is masked or checked beside it"
)]

mod mapping;
mod page;
mod rule;
mod step;

pub use mapping::{DirectoryEntry, MappedCode, MappingKind, ProcessCode};
pub use page::{
    HEADER_BYTES, INDEX_AT, MAX_PAGE_BYTES, PAGE_TEXT_BYTES, PageBytes, ROWS_AT, RULES_AT, USED_AT,
    find_rule,
};
pub use rule::{Base, Kind, Rule};
pub use step::{CALLER, INTERRUPTED, LEAF, Machine, Memory, Registers, step};
