//! Requests, errors and durations, in all and step by step.

use super::increase::Added;
use super::labels::RequestLabels;
use super::spread::Spread;

/// What requests amount to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many.
    pub requests: f64,
    /// How many of them failed.
    pub errors: f64,
    /// How long they took.
    pub spread: Spread,
}

impl Tally {
    /// Adds a share of what was added to a series.
    pub fn add(&mut self, added: &Added<'_>, labels: &RequestLabels, share: f64) {
        let requests = added.reading.count() * share;
        self.requests += requests;
        if labels.failed {
            self.errors += requests;
        }
        added.reading.add_to(&mut self.spread, unit_s(&added.series.unit), share);
    }

    /// Errors per request; `None` without requests.
    #[must_use]
    pub fn error_rate(&self) -> Option<f64> {
        (self.requests > 0.0).then(|| self.errors / self.requests)
    }
}

/// Seconds of one unit.
fn unit_s(unit: &str) -> f64 {
    match unit {
        "ms" => 1e-3,
        "us" | "µs" => 1e-6,
        "ns" => 1e-9,
        _ => 1.0,
    }
}

/// A range in steps of equal length.
#[derive(Clone, Debug)]
pub struct Steps {
    from_ms: i64,
    until_ms: i64,
    step_ms: i64,
    /// One per step.
    pub tallies: Vec<Tally>,
}

impl Steps {
    /// Steps that cover a range.
    #[must_use]
    pub fn new(from_ms: i64, until_ms: i64, step_ms: i64) -> Self {
        let step_ms = step_ms.max(1);
        let steps = until_ms.saturating_sub(from_ms).max(0).saturating_add(step_ms - 1) / step_ms;
        let steps = usize::try_from(steps).unwrap_or(0);
        Self { from_ms, until_ms, step_ms, tallies: vec![Tally::default(); steps] }
    }

    /// Length of a step.
    #[must_use]
    pub fn step_ms(&self) -> i64 {
        self.step_ms
    }

    /// Adds what was added to a series, spread evenly over the time in which it was: senders send
    /// every ten seconds or every minute, which is not how requests come.
    #[expect(clippy::cast_precision_loss, reason = "lengths of time in milliseconds")]
    pub fn add(&mut self, added: &Added<'_>, labels: &RequestLabels) {
        let until_ms = added.until_ms;
        let from_ms = added.from_ms.min(until_ms - 1);
        let length = (until_ms - from_ms) as f64;
        let first = (from_ms.max(self.from_ms) - self.from_ms) / self.step_ms;
        for (at, tally) in
            self.tallies.iter_mut().enumerate().skip(usize::try_from(first).unwrap_or(0))
        {
            let start = self.from_ms + i64::try_from(at).unwrap_or(0) * self.step_ms;
            if start >= until_ms {
                break;
            }
            let end = (start + self.step_ms).min(self.until_ms);
            let inside = end.min(until_ms) - start.max(from_ms);
            if inside > 0 {
                tally.add(added, labels, inside as f64 / length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metric::MetricSeries;
    use crate::query::red::Reading;

    fn requests(from_ms: i64, until_ms: i64) -> Vec<f64> {
        let mut steps = Steps::new(0, 30, 10);
        let series = Arc::new(MetricSeries::default());
        let reading = Reading::Number(6.0);
        let added = Added { series: &series, from_ms, until_ms, reading };
        steps.add(&added, &RequestLabels::default());
        steps.tallies.iter().map(|tally| tally.requests).collect()
    }

    #[test]
    fn what_was_added_over_a_time_is_spread_over_its_steps() {
        assert_eq!(requests(0, 30), [2.0, 2.0, 2.0]);
        assert_eq!(requests(5, 15), [3.0, 3.0, 0.0]);
        assert_eq!(requests(-30, 30), [1.0, 1.0, 1.0], "the rest was before");
        assert_eq!(requests(10, 10), [6.0, 0.0, 0.0], "of one moment");
        assert_eq!(requests(40, 50), [0.0, 0.0, 0.0]);
    }
}
