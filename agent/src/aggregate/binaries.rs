//! A window by binary: how much of it runs where, and how well it is seen there.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use rustc_hash::FxHashMap;
use sonde_ebpf::StackEnd;

use super::{Binary, Location, ProfileWindow, trust};
use crate::symbol::{Symbol, SymbolSource, UnknownReason};

/// How one binary is seen.
#[derive(Clone, Debug)]
pub struct BinarySight {
    /// Which; `None` for addresses that no file is known for.
    pub binary: Option<Arc<Binary>>,
    /// Where its names come from; `None` where that is no file's.
    pub source: Option<SymbolSource>,
    /// Samples that were taken in it.
    pub samples: u64,
    /// Stacks that pass through it.
    pub stacks: u64,
    /// Those of them that break off in it, by the reason.
    pub broken: BTreeMap<&'static str, (StackEnd, u64)>,
    /// Frames in it.
    pub frames: u64,
    /// Those of them without a name, by the reason.
    pub unnamed: BTreeMap<UnknownReason, u64>,
}

impl BinarySight {
    /// Stacks that break off in it.
    #[must_use]
    pub fn broken_stacks(&self) -> u64 {
        self.broken.values().map(|(_, count)| count).sum()
    }

    /// Its frames without a name.
    #[must_use]
    pub fn unnamed_frames(&self) -> u64 {
        self.unnamed.values().sum()
    }
}

impl ProfileWindow {
    /// All binaries with samples or frames, those with most samples first.
    #[must_use]
    pub fn binaries(&self) -> Vec<BinarySight> {
        let mut sights = Sights::default();
        for stack in self.services.iter().flat_map(|service| &service.stacks) {
            sights.add(&stack.frames, stack.end, stack.count);
        }
        for (binary, source) in &self.sources {
            if let Some(place) = sights.places.get(&Some(Arc::clone(binary))) {
                sights.all[*place].source = Some(source.clone());
            }
        }
        let mut all = sights.all;
        all.sort_by_key(|sight| (Reverse(sight.samples), Reverse(sight.stacks)));
        all
    }
}

#[derive(Default)]
struct Sights {
    all: Vec<BinarySight>,
    places: FxHashMap<Option<Arc<Binary>>, usize>,
}

impl Sights {
    /// Adds a stack, leaf first.
    fn add(&mut self, frames: &[Arc<Location>], end: StackEnd, count: u64) {
        let mut passed: Vec<usize> = Vec::new();
        for location in frames {
            let place = self.place(location);
            let sight = &mut self.all[place];
            sight.frames += count;
            if let Symbol::Unknown(reason) = location.symbol {
                *sight.unnamed.entry(reason).or_default() += count;
            }
            if !passed.contains(&place) {
                sight.stacks += count;
                passed.push(place);
            }
        }
        if let Some(leaf) = passed.first() {
            self.all[*leaf].samples += count;
        }
        let Some(outermost) = frames.last() else { return };
        if !trust::is_complete(end, Some(&outermost.symbol)) {
            let place = self.place(outermost);
            self.all[place].broken.entry(end.label()).or_insert((end, 0)).1 += count;
        }
    }

    fn place(&mut self, location: &Location) -> usize {
        let next = self.all.len();
        let place = *self.places.entry(location.binary.clone()).or_insert(next);
        if place == next {
            self.all.push(BinarySight {
                binary: location.binary.clone(),
                source: None,
                samples: 0,
                stacks: 0,
                broken: BTreeMap::new(),
                frames: 0,
                unnamed: BTreeMap::new(),
            });
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aggregate::{ServiceProfile, StackCount, Trust},
        symbol::{Function, Svma},
    };

    fn binary(path: &str) -> Arc<Binary> {
        Arc::new(Binary { path: path.into(), build_id: Arc::default() })
    }

    fn frame(binary: &Arc<Binary>, name: Option<&str>) -> Arc<Location> {
        let symbol = name.map_or(Symbol::Unknown(UnknownReason::Stripped), |name| {
            let name: Arc<str> = name.into();
            Symbol::Known(
                [Function { system_name: name.clone(), name, file: None, line: 0 }].into(),
            )
        });
        Arc::new(Location { binary: Some(Arc::clone(binary)), address: Svma(1), symbol })
    }

    #[test]
    fn a_stack_counts_once_for_each_binary_and_breaks_in_its_last() {
        let (program, library) = (binary("/bin/shop"), binary("/lib/libc.so"));
        let stack = |frames, end, count| StackCount {
            frames,
            pid: None,
            thread: "shop".into(),
            end,
            count,
        };
        let stacks = vec![
            stack(
                vec![frame(&library, Some("qsort")), frame(&program, None), frame(&program, None)],
                StackEnd::Complete,
                3,
            ),
            stack(vec![frame(&library, Some("memcpy"))], StackEnd::NoUnwindInfo, 2),
            // What a chain of frame pointers ends in decides whether it is whole.
            stack(vec![frame(&program, Some("_start"))], StackEnd::FramePointerEnd, 1),
        ];
        let window = ProfileWindow {
            start_unix_ns: 0,
            duration_ns: 1,
            period_ns: 1,
            services: vec![ServiceProfile { labels: Vec::new(), stacks }],
            sources: vec![(Arc::clone(&library), SymbolSource::SymbolTable)],
            trust: Trust::default(),
        };
        let [libc, shop] = &window.binaries()[..] else { panic!("two binaries") };
        assert_eq!((libc.samples, libc.stacks, libc.broken_stacks()), (5, 5, 2));
        assert_eq!((libc.frames, libc.unnamed_frames()), (5, 0));
        assert_eq!(libc.source, Some(SymbolSource::SymbolTable));
        assert_eq!((shop.samples, shop.stacks, shop.broken_stacks()), (1, 4, 0));
        assert_eq!((shop.frames, shop.unnamed_frames()), (7, 6));
    }
}
