//! How much time debug information may take: a host where many programs run new code all the time
//! must not be burdened with knowing each line of it at once.

use std::time::Duration;

/// Windows whose time can be saved for one that needs more; it begins with as much.
const SAVED_WINDOWS: u32 = 25;

/// Time that is left.
#[derive(Debug)]
pub(super) struct Budget {
    /// `None` if there is no limit.
    per_window: Option<Duration>,
    left: Duration,
}

impl Budget {
    pub(super) fn new(per_window: Option<Duration>) -> Self {
        Self { per_window, left: per_window.unwrap_or_default() * SAVED_WINDOWS }
    }

    pub(super) const fn is_spent(&self) -> bool {
        self.per_window.is_some() && self.left.is_zero()
    }

    pub(super) const fn spend(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    pub(super) fn end_window(&mut self) {
        if let Some(per_window) = self.per_window {
            self.left = (self.left + per_window).min(per_window * SAVED_WINDOWS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_millis(10);

    #[test]
    fn what_is_spent_comes_back_window_by_window() {
        let mut budget = Budget::new(Some(WINDOW));
        budget.spend(WINDOW * SAVED_WINDOWS);
        assert!(budget.is_spent());
        budget.end_window();
        assert!(!budget.is_spent());
        budget.spend(WINDOW);
        assert!(budget.is_spent());
    }

    #[test]
    fn no_more_is_saved_than_there_was_at_first() {
        let mut budget = Budget::new(Some(WINDOW));
        for _ in 0..SAVED_WINDOWS {
            budget.end_window();
        }
        budget.spend(WINDOW * SAVED_WINDOWS);
        assert!(budget.is_spent());
    }

    #[test]
    fn without_a_limit_it_is_never_spent() {
        let mut budget = Budget::new(None);
        budget.spend(WINDOW);
        assert!(!budget.is_spent());
    }
}
