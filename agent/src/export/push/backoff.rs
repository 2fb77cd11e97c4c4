//! How long to wait before the next attempt: exponential, with full jitter, so that a fleet of agents
//! does not come back to a restarted server all at once.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A server may ask for patience, not for silence.
const LONGEST_ASKED_PAUSE: Duration = Duration::from_secs(600);

/// Pauses of one request.
pub(super) struct Backoff {
    bound: Duration,
    longest: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { bound: first.min(longest), longest }
    }

    /// The next pause; never shorter than what the server asked for.
    pub(super) fn next_pause(&mut self, asked: Option<Duration>) -> Duration {
        let pause = self.bound.mul_f64(random_fraction());
        self.bound = self.bound.saturating_mul(2).min(self.longest);
        pause.max(asked.unwrap_or_default().min(LONGEST_ASKED_PAUSE))
    }
}

/// Between 0 and 1. The keys of a fresh `RandomState` are random; nothing here needs more than that.
fn random_fraction() -> f64 {
    let random = RandomState::new().hash_one(()) >> 32;
    f64::from(u32::try_from(random).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

/// `Retry-After` in seconds. Its other form, a date, is taken as not sent: clocks differ.
pub(super) fn retry_after(header: &str) -> Option<Duration> {
    header.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_grow_no_further_than_the_longest() {
        let mut backoff = Backoff::new(SECOND, 60 * SECOND);
        for bound in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            assert!(backoff.next_pause(None) <= bound * SECOND, "bound {bound} s");
        }
    }

    #[test]
    fn pauses_are_spread() {
        let pauses: Vec<_> =
            (0..32).map(|_| Backoff::new(SECOND, SECOND).next_pause(None)).collect();
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
    }

    #[test]
    fn a_server_is_given_the_time_it_asks_for_within_reason() {
        let mut backoff = Backoff::new(SECOND, SECOND);
        assert_eq!(backoff.next_pause(retry_after("7")), 7 * SECOND);
        assert_eq!(backoff.next_pause(retry_after(&u64::MAX.to_string())), LONGEST_ASKED_PAUSE);
    }

    #[test]
    fn a_date_or_nonsense_is_no_number_of_seconds() {
        for header in ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "", "1.5"] {
            assert_eq!(retry_after(header), None, "{header:?}");
        }
    }
}
