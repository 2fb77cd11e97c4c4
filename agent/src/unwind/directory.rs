//! Where the pages of each file are: the directory that both sides see, and which pages may go when
//! there is no room.

use sonde_ebpf::unwind::{DirectoryEntry, Rule, find_rule};

use super::{
    arena::{Arena, ArenaCounts, Place},
    page::OwnPage,
    ranges::Ranges,
};
use crate::kernel::{SharedBytes, SharedRecords};

/// The elements of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u32,
    pub(super) count: u32,
}

/// Evicting one page at a time would look at all of them each time: this share of the arena goes.
const EVICTED_SHARE: u64 = 16;

pub(super) struct Directory<M, D> {
    arena: Arena<M>,
    entries: D,
    spans: Ranges,
    /// The page of each element of the directory, as far as there is one.
    places: Vec<Option<Place>>,
    epoch: u32,
}

impl<M: SharedBytes, D: SharedRecords<DirectoryEntry>> Directory<M, D> {
    pub(super) fn new(memory: M, entries: D) -> Self {
        let count = entries.size();
        Self {
            arena: Arena::new(memory),
            entries,
            spans: Ranges::new(u32::try_from(count).unwrap_or(u32::MAX)),
            places: vec![None; count],
            epoch: 0,
        }
    }

    /// Elements for a file of so many pages.
    pub(super) fn take(&mut self, count: u32) -> Option<Span> {
        let first = self.spans.take(count.max(1))?;
        Some(Span { first, count: count.max(1) })
    }

    /// A file is forgotten.
    pub(super) fn give_back(&mut self, span: Span) {
        for element in span.first..span.first + span.count {
            self.unload(element as usize);
        }
        self.spans.give_back(span.first, span.count);
    }

    /// The rule in a page that is loaded.
    pub(super) fn rule(&self, element: u32, svma: u64) -> Option<Rule> {
        let place = (*self.places.get(element as usize)?)?;
        Some(find_rule(&self.arena.page(place), svma))
    }

    /// Makes a page the element's, if there is room, and looks up a rule in it either way.
    pub(super) fn load(&mut self, element: u32, page: &[u8], svma: u64) -> Rule {
        let index = element as usize;
        if self.places.get(index).is_some_and(Option::is_none) {
            if let Some((place, entry)) = self.arena.place(page, self.epoch) {
                self.places[index] = Some(place);
                self.entries.set(index, entry);
            } else if !self.arena.is_resting() {
                self.evict();
            }
        }
        find_rule(&OwnPage(page), svma)
    }

    /// Takes out what was used longest ago.
    fn evict(&mut self) {
        let loaded = self.places.iter().enumerate();
        let mut by_use: Vec<(u32, usize)> = loaded
            .filter_map(|(index, place)| {
                let age = self.epoch.wrapping_sub(self.arena.last_used((*place)?));
                Some((age, index))
            })
            .collect();
        by_use.sort_unstable_by(|one, other| other.cmp(one));
        let count = by_use.len().div_ceil(usize::try_from(EVICTED_SHARE).unwrap_or(16));
        for (_, index) in by_use.into_iter().take(count) {
            self.unload(index);
            self.arena.count_evicted();
        }
    }

    fn unload(&mut self, index: usize) {
        if let Some(place) = self.places.get_mut(index).and_then(Option::take) {
            // The entry first: who reads it from here on does not look at the page.
            self.entries.set(index, DirectoryEntry::default());
            self.arena.remove(place);
        }
    }

    /// A round of the drain thread is over.
    pub(super) fn end_round(&mut self) {
        self.arena.end_round();
        self.spans.end_round();
    }

    /// From here on, pages are stamped with another epoch.
    pub(super) fn set_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
    }

    pub(super) const fn counts(&self) -> ArenaCounts {
        self.arena.counts()
    }
}

#[cfg(test)]
mod tests {
    use sonde_ebpf::{limits::ARENA_ELEMENT_BYTES, unwind::Kind};

    use super::*;
    use crate::unwind::page::PageRows;

    fn page(number: i64) -> Vec<u8> {
        let mut rows = PageRows::new(0);
        for at in 0..1000 {
            rows.push(at * 8, Rule::offset(Kind::Sp, 8 * (number + (at as i64 & 1)), 0));
        }
        rows.encode()
    }

    #[test]
    fn pages_of_a_file_that_is_forgotten_made_room_for_nobody() {
        let memory = vec![0; 2 * ARENA_ELEMENT_BYTES];
        let mut directory = Directory::new(memory, vec![DirectoryEntry::default(); 2]);
        let span = directory.take(2).expect("room");
        directory.load(span.first, &page(1), 0);
        directory.give_back(span);
        assert_eq!((directory.counts().pages, directory.counts().evicted), (0, 0));
    }

    #[test]
    fn a_full_arena_makes_room_by_what_was_used_longest_ago() {
        let memory = vec![0; 2 * ARENA_ELEMENT_BYTES];
        let mut directory = Directory::new(memory, vec![DirectoryEntry::default(); 200]);
        let span = directory.take(200).expect("room");
        for element in 0..200 {
            directory.set_epoch(element);
            let rule = directory.load(span.first + element, &page(i64::from(element) + 1), 0);
            assert_eq!(rule, Rule::offset(Kind::Sp, 8 * (i64::from(element) + 1), 0));
            directory.end_round();
            directory.end_round();
        }
        assert!(directory.counts().used_bytes <= directory.counts().size_bytes);
        assert!(directory.counts().evicted > 100);
        assert_eq!(directory.rule(span.first, 0), None, "the oldest is gone");
        let recent = (190..200).filter(|element| directory.rule(*element, 0).is_some()).count();
        assert!(recent >= 8, "the latest are there");
        for element in 0..200 {
            let told = directory.entries[element as usize].place != 0;
            assert_eq!(told, directory.rule(element, 0).is_some(), "both sides agree");
        }
    }
}
