//! How long to wait before the next attempt: exponential with full jitter, never less than asked.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
/// A server may ask for patience, not for silence.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Pauses between the attempts of one request.
pub(super) struct Backoff {
    bound: Duration,
    longest: Duration,
}

impl Backoff {
    pub(super) fn new(longest: Duration) -> Self {
        Self { bound: FIRST.min(longest), longest }
    }

    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        // The keys of a new `RandomState` are random, which is all that is needed here.
        let random = RandomState::new().hash_one(()) >> 32;
        let share = f64::from(u32::try_from(random).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
        let pause = self.bound.mul_f64(share);
        self.bound = self.bound.saturating_mul(2).min(self.longest);
        pause.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_bounded_and_as_long_as_asked() {
        let mut backoff = Backoff::new(Duration::from_secs(2));
        for bound_ms in [500, 1000, 2000, 2000] {
            assert!(backoff.next(None) <= Duration::from_millis(bound_ms));
        }
        let asked = Duration::from_secs(7);
        assert_eq!(backoff.next(Some(asked)), asked);
        assert_eq!(backoff.next(Some(Duration::from_secs(1 << 40))), LONGEST_ASKED);
    }
}
