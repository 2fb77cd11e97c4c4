//! Runs of numbered elements, given out and taken back. What is taken back rests for a round before
//! it is given out again: the other side may still be reading it.

use std::collections::BTreeMap;

/// The free runs of elements `0..size`.
#[derive(Debug)]
pub(super) struct Ranges {
    /// Length by first element; no two touch.
    free: BTreeMap<u32, u32>,
    /// Runs taken back in this round, and in the one before.
    resting: [Vec<(u32, u32)>; 2],
}

impl Ranges {
    pub(super) fn new(size: u32) -> Self {
        Self { free: BTreeMap::from([(0, size)]), resting: [Vec::new(), Vec::new()] }
    }

    /// The first run that is long enough; `None` if there is none.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let (first, free) = self.free.iter().find(|(_, free)| **free >= count)?;
        let (first, free) = (*first, *free);
        self.free.remove(&first);
        if free > count {
            self.free.insert(first + count, free - count);
        }
        Some(first)
    }

    /// Takes a run back.
    pub(super) fn give_back(&mut self, first: u32, count: u32) {
        self.resting[0].push((first, count));
    }

    /// A round is over: no reader is still where it was two rounds ago.
    pub(super) fn end_round(&mut self) {
        let rested = std::mem::take(&mut self.resting[1]);
        self.resting.swap(0, 1);
        for (first, count) in rested {
            self.join(first, count);
        }
    }

    fn join(&mut self, mut first: u32, mut count: u32) {
        if let Some((before, length)) = self.free.range(..first).next_back()
            && before + length == first
        {
            (first, count) = (*before, length + count);
            self.free.remove(&first);
        }
        if let Some(after) = self.free.remove(&(first + count)) {
            count += after;
        }
        self.free.insert(first, count);
    }
}

#[cfg(test)]
mod tests {
    use super::Ranges;

    #[test]
    fn a_run_taken_back_is_given_out_again_two_rounds_later() {
        let mut ranges = Ranges::new(10);
        assert_eq!((ranges.take(6), ranges.take(4), ranges.take(1)), (Some(0), Some(6), None));
        ranges.give_back(0, 6);
        assert_eq!(ranges.take(1), None);
        ranges.end_round();
        assert_eq!(ranges.take(1), None, "a reader may still be in it");
        ranges.end_round();
        assert_eq!(ranges.take(6), Some(0));
    }

    #[test]
    fn neighbours_join() {
        let mut ranges = Ranges::new(9);
        for first in [0, 3, 6] {
            assert_eq!(ranges.take(3), Some(first));
        }
        for first in [0, 6, 3] {
            ranges.give_back(first, 3);
        }
        ranges.end_round();
        ranges.end_round();
        assert_eq!(ranges.take(9), Some(0));
    }
}
