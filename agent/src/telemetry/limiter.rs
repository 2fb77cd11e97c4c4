//! Log lines that can repeat: one in a while, with the number of those that were left out.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lets one of many equal events through in each interval.
#[derive(Debug)]
pub struct Limiter {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
    since_reset: u64,
}

impl Limiter {
    /// One event each `interval`.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self { interval, state: Mutex::default() }
    }

    /// Counts an event. `Some` when it should be shown, with how many were not since the last one.
    pub fn permit(&self) -> Option<u64> {
        self.permit_at(Instant::now())
    }

    /// The trouble is over: the next event is shown at once. `Some` with the number of events there
    /// were, or `None` when there was no trouble.
    pub fn reset(&self) -> Option<u64> {
        let state = std::mem::take(&mut *self.state());
        (state.since_reset > 0).then_some(state.since_reset)
    }

    fn permit_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state();
        state.since_reset += 1;
        if state.last.is_some_and(|last| now.duration_since(last) < self.interval) {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }

    /// The state is counters; a panic elsewhere does not make them wrong.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn one_event_in_each_interval_is_shown_with_the_number_left_out() {
        let limiter = Limiter::new(MINUTE);
        let start = Instant::now();
        let at = |seconds| limiter.permit_at(start + Duration::from_secs(seconds));
        assert_eq!([at(0), at(1), at(59), at(60), at(61)], [Some(0), None, None, Some(2), None]);
    }

    #[test]
    fn after_a_reset_the_next_event_is_shown() {
        let limiter = Limiter::new(MINUTE);
        assert_eq!(limiter.reset(), None);
        assert_eq!([limiter.permit(), limiter.permit()], [Some(0), None]);
        assert_eq!(limiter.reset(), Some(2));
        assert_eq!(limiter.permit(), Some(0));
    }
}
