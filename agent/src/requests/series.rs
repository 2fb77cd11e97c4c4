//! A bounded number of distributions under keys: what comes beyond the limit shares one, and what is
//! not used any more is forgotten.

use std::borrow::Cow;
use std::hash::Hash;

use rustc_hash::FxHashMap;

/// Series of one group; what comes beyond shares one.
pub(super) const MAX_SERIES: usize = 10_000;
/// A series that was not added to in so long is forgotten.
pub(super) const STALE_NS: u64 = 15 * 60 * 1_000_000_000;

/// A key that belongs to a group, which may be full.
pub(super) trait Grouped: Eq + Hash + Clone {
    type Group: Eq + Hash;

    fn group(&self) -> Self::Group;
    /// The key that all share for which there is no room.
    fn overflow(self) -> Self;
    fn is_overflow(&self) -> bool;
}

/// Values under keys.
#[derive(Debug)]
pub(super) struct Series<K: Grouped, V> {
    known: FxHashMap<K, Held<V>>,
    counts: FxHashMap<K::Group, usize>,
}

#[derive(Debug)]
struct Held<V> {
    value: V,
    since_ns: u64,
    last_ns: u64,
}

impl<K: Grouped, V> Default for Series<K, V> {
    fn default() -> Self {
        Self { known: FxHashMap::default(), counts: FxHashMap::default() }
    }
}

impl<K: Grouped, V> Series<K, V> {
    /// The value of a key, or of what shares one; new ones are made.
    pub(super) fn at(&mut self, key: &K, now_ns: u64, new: impl FnOnce(&K) -> V) -> &mut V {
        let mut key = Cow::Borrowed(key);
        if !self.known.contains_key(&*key) {
            // A copy is made of new ones alone.
            key = Cow::Owned(self.admit(key.into_owned()));
        }
        if !self.known.contains_key(&*key) {
            let held = Held { value: new(&key), since_ns: now_ns, last_ns: 0 };
            self.known.insert(key.clone().into_owned(), held);
        }
        let held = self.known.get_mut(&*key).expect("it is there by now");
        held.last_ns = held.last_ns.max(now_ns);
        &mut held.value
    }

    fn admit(&mut self, key: K) -> K {
        let count = self.counts.entry(key.group()).or_default();
        if *count >= MAX_SERIES {
            return key.overflow();
        }
        *count += 1;
        key
    }

    /// Forgets what was not used for long.
    pub(super) fn expire(&mut self, now_ns: u64) {
        let Self { known, counts } = self;
        known.retain(|key, held| {
            let lives = now_ns.saturating_sub(held.last_ns) < STALE_NS;
            if !lives {
                // What series beyond the limit share was not counted as one.
                if let Some(count) = counts.get_mut(&key.group()).filter(|_| !key.is_overflow()) {
                    *count = count.saturating_sub(1);
                }
            }
            lives
        });
        counts.retain(|_, count| *count > 0);
    }

    /// All, with when each began.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V, u64)> {
        self.known.iter().map(|(key, held)| (key, &held.value, held.since_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    struct Word(&'static str, usize);

    impl Grouped for Word {
        type Group = &'static str;

        fn group(&self) -> &'static str {
            self.0
        }

        fn overflow(self) -> Self {
            Self(self.0, usize::MAX)
        }

        fn is_overflow(&self) -> bool {
            self.1 == usize::MAX
        }
    }

    #[test]
    fn what_is_beyond_the_limit_shares_one_and_all_go_stale() {
        let mut series: Series<Word, u64> = Series::default();
        for number in 0..MAX_SERIES + 500 {
            *series.at(&Word("shop", number), 5, |_| 0) += 1;
        }
        *series.at(&Word("cart", 7), 5, |_| 0) += 1;
        assert_eq!(series.iter().count(), MAX_SERIES + 2);
        let shared = |series: &Series<Word, u64>| {
            series.iter().find(|(key, ..)| key.is_overflow()).map(|(_, value, _)| *value)
        };
        assert_eq!(shared(&series), Some(500));
        *series.at(&Word("shop", 1 << 20), STALE_NS, |_| 0) += 1;
        series.expire(STALE_NS + 10);
        assert_eq!((series.iter().count(), shared(&series)), (1, Some(501)));
        *series.at(&Word("shop", 3), STALE_NS + 20, |_| 0) += 1;
        assert_eq!(series.iter().count(), 2, "there is room again");
    }
}
