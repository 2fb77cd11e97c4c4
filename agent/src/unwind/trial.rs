//! What property tests and fuzz targets do with bytes that nobody vouches for: nothing may panic,
//! and all of it comes to an end.

use sonde_ebpf::{
    Resume, StackEnd,
    unwind::{MAX_PAGE_BYTES, PAGE_TEXT_BYTES, Registers, find_rule},
};

use super::{
    CfiError, TableSize,
    file::{Layout, Source},
    page::OwnPage,
    resume::{Code, Found, walk},
};
use crate::symbol::elf::ElfFile;

/// Pages of one file that are tried: those at the beginning of its text and those at the end.
const PAGES: u64 = 16;

/// Builds pages of a file and looks rules up in them.
///
/// # Errors
/// If the file has no descriptions that can be used.
pub fn try_tables(elf: &ElfFile) -> Result<TableSize, CfiError> {
    let layout = Layout::of(elf);
    let mut source = Source::open(elf)?;
    let mut size = TableSize::default();
    let all = u64::from(layout.pages).max(1); // The first also of a file without places.
    for page in (0..all).take(8).chain(all.saturating_sub(PAGES / 2).max(8)..all) {
        let start = (layout.first_page + page).saturating_mul(PAGE_TEXT_BYTES);
        let rows = source.rows(start);
        let bytes = rows.encode();
        assert!(bytes.len() <= MAX_PAGE_BYTES, "{} bytes", bytes.len());
        for address in (start..=start.saturating_add(PAGE_TEXT_BYTES - 1)).step_by(61) {
            find_rule(&OwnPage(&bytes), address);
        }
        size.pages += 1;
        size.rows += rows.len() as u64;
        size.bytes += bytes.len() as u64;
    }
    size.held_bytes = source.memory_bytes();
    Ok(size)
}

/// Walks over a stack by a page, both any bytes: six words are the registers, two bytes say how many
/// of the others are the page. The frames, and why there are no more.
#[must_use]
pub fn try_walk(bytes: &[u8]) -> Option<(usize, StackEnd)> {
    let (registers, rest) = bytes.split_at_checked(6 * 8)?;
    let mut words = registers.chunks_exact(8).map(|word| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        u64::from_le_bytes(bytes)
    });
    let mut word = || words.next().unwrap_or(0);
    let registers = Registers { pc: word(), sp: word(), fp: word(), ..Registers::default() };
    let marks = word();
    let registers = Registers {
        link: word(),
        exact: u32::from(marks & 1 == 1),
        leaf: u32::from(marks.to_le_bytes()[1] & 3),
        ..registers
    };
    let general = word();
    let general = std::array::from_fn(|number| general.wrapping_add(number as u64 * 8));
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (page, stack) = rest.split_at(length);
    let mut frames = vec![registers.pc];
    let resume = Resume { registers, general };
    let end = walk(&resume, stack, &mut frames, &mut OnePage(page));
    Some((frames.len(), end))
}

/// All code is under the same page.
struct OnePage<'a>(&'a [u8]);

impl Code for OnePage<'_> {
    fn find(&mut self, address: u64) -> Found {
        match address >> 60 {
            0xf => Found::Jit,
            0xe => Found::Nothing,
            0xd => Found::Unreadable,
            _ => Found::Rule(find_rule(&OwnPage(self.0), address)),
        }
    }

    fn before(&mut self, address: u64) -> Option<u64> {
        address.checked_mul(0x9e37_79b9)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sonde_ebpf::{
        limits::MAX_USER_FRAMES,
        unwind::{INDEX_AT, ROWS_AT, RULES_AT},
    };

    use super::*;

    /// Registers whose stack pointer is where the stack begins, and a page that leads somewhere.
    fn walkable() -> impl Strategy<Value = Vec<u8>> {
        let page = (prop::collection::vec(any::<u8>(), 80), prop::collection::vec(any::<u32>(), 8));
        let stack = prop::collection::vec(0_u64..0x3000, 0..200);
        (any::<[u16; 6]>(), page, stack).prop_map(|(registers, (rows, rules), stack)| {
            let mut page = vec![0; ROWS_AT as usize];
            page[RULES_AT as usize..][..2].copy_from_slice(&(ROWS_AT + 80).to_le_bytes()[..2]);
            for bucket in 1..257 {
                page[INDEX_AT as usize + 2 * bucket] = bucket.min(40).to_le_bytes()[0];
            }
            page.extend(rows.iter().enumerate().map(|(at, byte)| byte & [0xff, 7][at & 1]));
            page.extend(rules.iter().flat_map(|rule| rule.to_le_bytes()));
            let mut bytes: Vec<u8> =
                registers.iter().flat_map(|word| u64::from(*word).to_le_bytes()).collect();
            bytes.extend(&page.len().to_le_bytes()[..2]);
            bytes.extend(page);
            bytes.extend(stack.iter().flat_map(|word| word.to_le_bytes()));
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_page_and_any_stack_come_to_an_end(bytes in walkable()) {
            let (frames, _) = try_walk(&bytes).expect("long enough");
            prop_assert!(frames <= MAX_USER_FRAMES);
        }

        #[test]
        fn bytes_of_any_length_come_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            let walked = try_walk(&bytes);
            prop_assert_eq!(walked.is_some(), bytes.len() >= 50);
        }
    }
}
