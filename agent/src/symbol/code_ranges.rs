//! Functions by address where memory is used again: what is told later replaces what it overlaps.

use std::collections::BTreeMap;

/// Ranges of addresses, each with what is known of it. They never overlap.
#[derive(Debug)]
pub(super) struct CodeRanges<T>(BTreeMap<u64, Range<T>>);

#[derive(Clone, Copy, Debug)]
struct Range<T> {
    /// First address behind it.
    end: u64,
    of: T,
}

impl<T> Default for CodeRanges<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Copy> CodeRanges<T> {
    /// What is known of an address.
    pub(super) fn find(&self, address: u64) -> Option<T> {
        let (_, range) = self.0.range(..=address).next_back()?;
        (address < range.end).then_some(range.of)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Memory held, in bytes: nodes of a `BTreeMap` are two thirds full.
    pub(super) fn memory_bytes(&self) -> usize {
        self.len() * size_of::<(u64, Range<T>)>() * 3 / 2
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts a range in; what it covers of others is gone. Adds two ranges at most.
    pub(super) fn insert(&mut self, start: u64, end: u64, of: T) {
        self.remove(start, end);
        if start < end {
            self.0.insert(start, Range { end, of });
        }
    }

    /// Nothing is known any more of these addresses.
    pub(super) fn remove(&mut self, start: u64, end: u64) {
        while let Some((&old_start, &old)) =
            self.0.range(..end).next_back().filter(|(_, old)| old.end > start)
        {
            self.0.remove(&old_start);
            if old.end > end {
                self.0.insert(end, old);
            }
            if old_start < start {
                self.0.insert(old_start, Range { end: start, ..old });
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_removed_in_the_middle_leaves_both_ends() {
        let mut ranges = CodeRanges::default();
        ranges.insert(0x100, 0x200, 'a');
        ranges.remove(0x140, 0x160);
        let found = [0xff, 0x100, 0x13f, 0x140, 0x15f, 0x160, 0x1ff, 0x200].map(|a| ranges.find(a));
        let a = Some('a');
        assert_eq!(found, [None, a, a, None, None, a, a, None]);
    }

    proptest::proptest! {
        #[test]
        fn the_last_range_at_an_address_is_the_one_found(
            told in proptest::collection::vec((0_u64..64, 0_u64..32), 0..40),
        ) {
            let mut ranges = CodeRanges::default();
            for (number, (start, length)) in told.iter().enumerate() {
                ranges.insert(*start, start + length, number);
            }
            for address in 0..96 {
                let last = told.iter().rposition(|(s, n)| (*s..s + n).contains(&address));
                assert_eq!(ranges.find(address), last);
            }
        }
    }
}
