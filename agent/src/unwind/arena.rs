//! The memory that pages lie in: a hard budget, shared with the kernel side. A page lies in one
//! element of 64 KiB, in units of 512 bytes. Every page that ever lay there had another generation
//! number, so a reader that is late knows that it reads another's.

use sonde_ebpf::{
    limits::ARENA_ELEMENT_BYTES,
    unwind::{DirectoryEntry, PageBytes, USED_AT},
};

use crate::kernel::SharedBytes;

const UNIT: usize = DirectoryEntry::UNIT_BYTES;
const UNITS_PER_ELEMENT: u32 = u128::BITS;

const _: () = assert!(UNIT * UNITS_PER_ELEMENT as usize == ARENA_ELEMENT_BYTES, "a bit per unit");

/// What the arena holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArenaCounts {
    /// Bytes that pages take.
    pub used_bytes: u64,
    /// The budget.
    pub size_bytes: u64,
    /// Pages that are there.
    pub pages: u64,
    /// Pages that made room for others, since the start.
    pub evicted: u64,
}

/// A page's place; what it stands for is the owner's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    unit: u32,
    units: u32,
}

impl Place {
    /// Byte of the arena where the page begins.
    fn at(self) -> usize {
        self.unit as usize * UNIT
    }
}

pub(super) struct Arena<M> {
    memory: M,
    /// A bit for each unit of an element that is taken.
    elements: Vec<u128>,
    /// Where the last page was placed: pages that come together lie together.
    hint: usize,
    generation: u32,
    /// Taken back, in this round and in the one before.
    resting: [Vec<Place>; 2],
    counts: ArenaCounts,
}

impl<M: SharedBytes> Arena<M> {
    pub(super) fn new(memory: M) -> Self {
        let elements = vec![0; memory.size() / ARENA_ELEMENT_BYTES];
        let size_bytes = memory.size() as u64;
        let counts = ArenaCounts { size_bytes, ..ArenaCounts::default() };
        Self { memory, elements, hint: 0, generation: 0, resting: Default::default(), counts }
    }

    /// Writes a page; `None` if there is no room.
    pub(super) fn place(&mut self, page: &[u8], epoch: u32) -> Option<(Place, DirectoryEntry)> {
        let units = u32::try_from(page.len().div_ceil(UNIT)).ok()?;
        let place = self.take(units)?;
        // Never 0: that is what a page that is being written has.
        self.generation = self.generation.wrapping_add(1).max(1);
        self.memory.write(place.at() + 4, page.get(4..)?);
        self.memory.write_u32(place.at() + USED_AT as usize, epoch);
        self.memory.write_u32(place.at(), self.generation);
        self.counts.pages += 1;
        self.counts.used_bytes += u64::from(units) * UNIT as u64;
        Some((place, DirectoryEntry { place: place.unit + 1, generation: self.generation }))
    }

    fn take(&mut self, units: u32) -> Option<Place> {
        if units == 0 || units > UNITS_PER_ELEMENT {
            return None;
        }
        let wanted = if units == UNITS_PER_ELEMENT { u128::MAX } else { (1 << units) - 1 };
        let count = self.elements.len();
        for step in 0..count {
            let element = (self.hint + step) % count;
            let taken = self.elements[element];
            let fits = |shift: &u32| taken & (wanted << shift) == 0;
            if let Some(shift) = (0..=UNITS_PER_ELEMENT - units).find(fits) {
                self.elements[element] |= wanted << shift;
                self.hint = element;
                let unit = u32::try_from(element).ok()? * UNITS_PER_ELEMENT + shift;
                return Some(Place { unit, units });
            }
        }
        None
    }

    /// The page is nobody's any more. Its directory entry must be gone already.
    pub(super) fn remove(&mut self, place: Place) {
        self.memory.write_u32(place.at(), 0);
        self.resting[0].push(place);
        self.counts.pages -= 1;
    }

    /// A round is over: no reader is still where it was two rounds ago.
    pub(super) fn end_round(&mut self) {
        let rested = std::mem::take(&mut self.resting[1]);
        self.resting.swap(0, 1);
        for Place { unit, units } in rested {
            let wanted = if units == UNITS_PER_ELEMENT { u128::MAX } else { (1 << units) - 1 };
            let element = (unit / UNITS_PER_ELEMENT) as usize;
            self.elements[element] &= !(wanted << (unit % UNITS_PER_ELEMENT));
            self.counts.used_bytes -= u64::from(units) * UNIT as u64;
        }
    }

    /// The page that was removed was to make room for others.
    pub(super) const fn count_evicted(&mut self) {
        self.counts.evicted += 1;
    }

    /// Whether room is on its way.
    pub(super) fn is_resting(&self) -> bool {
        self.resting.iter().any(|places| !places.is_empty())
    }

    /// The epoch in which a page was last used.
    pub(super) fn last_used(&self, place: Place) -> u32 {
        self.memory.u32(place.at() + USED_AT as usize)
    }

    pub(super) fn page(&self, place: Place) -> ArenaPage<'_, M> {
        ArenaPage { memory: &self.memory, at: place.at() }
    }

    pub(super) const fn counts(&self) -> ArenaCounts {
        self.counts
    }
}

/// A page where it lies.
pub(super) struct ArenaPage<'a, M> {
    memory: &'a M,
    at: usize,
}

impl<M: SharedBytes> PageBytes for ArenaPage<'_, M> {
    fn u8(&self, at: u32) -> u8 {
        self.memory.u8(self.at + at as usize)
    }

    fn u16(&self, at: u32) -> u16 {
        self.memory.u16(self.at + at as usize)
    }

    fn u32(&self, at: u32) -> u32 {
        self.memory.u32(self.at + at as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arena(elements: usize) -> Arena<Vec<u8>> {
        Arena::new(vec![0; elements * ARENA_ELEMENT_BYTES])
    }

    #[test]
    fn no_two_pages_overlap_and_none_crosses_an_element() {
        let mut arena = arena(3);
        let mut taken = vec![false; 3 * UNITS_PER_ELEMENT as usize];
        let mut placed = 0;
        for size in (0..).map(|number| 600 + number * 977 % 9000) {
            let Some((place, _)) = arena.place(&vec![1; size], 0) else { break };
            placed += 1;
            assert!(place.unit % UNITS_PER_ELEMENT + place.units <= UNITS_PER_ELEMENT);
            for unit in place.unit..place.unit + place.units {
                assert!(!std::mem::replace(&mut taken[unit as usize], true));
            }
        }
        assert!(placed > 20, "{placed}");
    }

    #[test]
    fn a_place_is_used_again_with_another_generation_when_readers_are_gone() {
        let mut arena = arena(1);
        let page = vec![7; ARENA_ELEMENT_BYTES];
        let (place, first) = arena.place(&page, 3).expect("room");
        assert_eq!(arena.last_used(place), 3);
        arena.remove(place);
        assert!(arena.place(&page, 0).is_none() && arena.is_resting());
        assert_eq!(arena.page(place).u32(0), 0, "late readers see that it is gone");
        arena.end_round();
        arena.end_round();
        let (_, second) = arena.place(&page, 0).expect("room again");
        assert_eq!(second.place, first.place);
        assert_ne!(second.generation, first.generation);
    }

    #[test]
    fn what_is_larger_than_an_element_has_no_place() {
        assert!(arena(2).place(&vec![0; ARENA_ELEMENT_BYTES + 1], 0).is_none());
        assert!(arena(0).place(&[0; 600], 0).is_none());
    }
}
