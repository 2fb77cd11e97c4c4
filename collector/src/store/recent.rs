//! Which pushes came in lately, so that one sent again is stored once.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashSet;

use super::tables::PushRow;

/// Digests of recent pushes, bounded by number and age.
pub(super) struct RecentPushes {
    known: FxHashSet<u128>,
    order: VecDeque<(i64, u128)>,
    most: usize,
    age_ms: i64,
}

impl RecentPushes {
    pub(super) fn new(most: usize, age: Duration) -> Self {
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        Self { known: FxHashSet::default(), order: VecDeque::new(), most, age_ms }
    }

    pub(super) fn knows(&self, digest: u128) -> bool {
        self.known.contains(&digest)
    }

    /// Remembers a push, and forgets what is too old beside it or too many.
    pub(super) fn remember(&mut self, push: PushRow) {
        if self.known.insert(push.digest) {
            self.order.push_back((push.received_unix_ms, push.digest));
        }
        let oldest = push.received_unix_ms.saturating_sub(self.age_ms);
        while self
            .order
            .front()
            .is_some_and(|first| first.0 < oldest || self.order.len() > self.most)
        {
            if let Some((_, digest)) = self.order.pop_front() {
                self.known.remove(&digest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_pushes_and_those_beyond_the_limit_are_forgotten() {
        let mut recent = RecentPushes::new(3, Duration::from_millis(100));
        let push =
            |digest, received_unix_ms| PushRow { digest, received_unix_ms, ..PushRow::default() };
        (0..5).for_each(|n| recent.remember(push(n, 10)));
        assert_eq!((0..5).filter(|n| recent.knows(*n)).collect::<Vec<_>>(), [2, 3, 4]);
        recent.remember(push(9, 111));
        assert!(!recent.knows(4) && recent.knows(9));
    }
}
