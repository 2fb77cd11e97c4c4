//! How values are spread: counts between fixed bounds, and counts in exponential buckets that fit
//! themselves to what comes, as OpenTelemetry's data model has both. No labels, no names.

use std::collections::VecDeque;

/// Exponential buckets at most; the width doubles where more would be needed. What OpenTelemetry's
/// SDKs use.
const MAX_BUCKETS: usize = 160;
/// The finest width: `2^(1/2^20)`.
const MAX_SCALE: i32 = 20;
/// The coarsest: all floats are in a few buckets.
const MIN_SCALE: i32 = -10;

/// Values so far. They are not negative.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// Upper bounds, rising; values above the last have a count of their own.
    pub bounds: &'static [f64],
    /// One more than bounds.
    pub counts: Box<[u64]>,
    /// Sum of all values.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
    /// The same values in buckets of another kind.
    pub exponential: Exponential,
}

impl Distribution {
    /// Without a value.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len() + 1].into(),
            sum: 0.0,
            count: 0,
            exponential: Exponential::default(),
        }
    }

    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.counts[self.bounds.partition_point(|bound| *bound < value)] += 1;
        self.sum += value;
        self.count += 1;
        self.exponential.add(value);
    }

    /// Adds the values of another with the same bounds, except to the exponential buckets.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum += other.sum;
        self.count += other.count;
    }
}

/// Buckets of which each is so much wider than the one before: bucket `i` holds what is greater than
/// `base^i` and at most `base^(i + 1)`, where `base` is `2^(2^-scale)`.
#[derive(Clone, Debug)]
pub struct Exponential {
    /// How fine they are.
    pub scale: i32,
    /// Values that are zero.
    pub zeros: u64,
    /// Number of the first bucket.
    pub offset: i32,
    /// From there on.
    pub counts: VecDeque<u64>,
}

impl Default for Exponential {
    fn default() -> Self {
        Self { scale: MAX_SCALE, zeros: 0, offset: 0, counts: VecDeque::new() }
    }
}

impl Exponential {
    fn add(&mut self, value: f64) {
        if !(value > 0.0 && value.is_finite()) {
            self.zeros += 1;
            return;
        }
        let mut index = index(value, self.scale);
        while !self.fits(index) && self.scale > MIN_SCALE {
            self.coarsen();
            index >>= 1;
        }
        self.count_at(index);
    }

    /// Whether there is room for the bucket beside those that are there.
    fn fits(&self, index: i32) -> bool {
        let Some(last) = self.last() else { return true };
        let (first, last) = (self.offset.min(index), last.max(index));
        usize::try_from(i64::from(last) - i64::from(first)).is_ok_and(|span| span < MAX_BUCKETS)
    }

    fn last(&self) -> Option<i32> {
        let length = i32::try_from(self.counts.len()).ok().filter(|length| *length > 0)?;
        Some(self.offset + length - 1)
    }

    /// Makes one bucket of every two.
    fn coarsen(&mut self) {
        let old = std::mem::take(&mut self.counts);
        let first = self.offset;
        self.scale -= 1;
        for (index, count) in (first..).zip(old) {
            if count > 0 {
                *self.slot(index >> 1) += count;
            }
        }
    }

    fn count_at(&mut self, index: i32) {
        *self.slot(index) += 1;
    }

    fn slot(&mut self, index: i32) -> &mut u64 {
        if self.counts.is_empty() {
            self.offset = index;
        }
        while index < self.offset {
            self.counts.push_front(0);
            self.offset -= 1;
        }
        let place = usize::try_from(index - self.offset).unwrap_or(0);
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        &mut self.counts[place]
    }
}

/// Number of a value's bucket.
#[expect(clippy::cast_possible_truncation, reason = "logarithms of floats are within 2^31")]
fn index(value: f64, scale: i32) -> i32 {
    (value.log2() * f64::from(scale).exp2()).ceil() as i32 - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: &[f64] = &[0.5, 1.0, 2.0];

    #[test]
    fn a_value_at_a_bound_is_below_it() {
        let mut distribution = Distribution::new(BOUNDS);
        for value in [0.0, 0.5, 0.6, 1.0, 2.0, 2.1] {
            distribution.add(value);
        }
        assert_eq!(*distribution.counts, [2, 2, 1, 1]);
        assert_eq!((distribution.count, distribution.exponential.zeros), (6, 1));
    }

    #[test]
    fn powers_of_two_are_in_buckets_of_their_own_once_the_range_is_wide() {
        let mut exponential = Exponential::default();
        for power in 0..=100 {
            exponential.add(f64::from(power).exp2());
        }
        assert!(exponential.scale <= 0, "{}", exponential.scale);
        assert_eq!(exponential.counts.iter().sum::<u64>(), 101);
    }

    proptest! {
        #[test]
        fn every_value_is_in_a_bucket_around_it(values in prop::collection::vec(1e-9..1e12_f64, 1..200)) {
            let mut exponential = Exponential::default();
            for value in &values {
                exponential.add(*value);
            }
            prop_assert!(exponential.counts.len() <= MAX_BUCKETS);
            prop_assert_eq!(exponential.counts.iter().sum::<u64>(), values.len() as u64);
            let base = f64::from(-exponential.scale).exp2().exp2();
            let first = base.powi(exponential.offset);
            let last = base.powi(exponential.last().expect("values are there") + 1);
            for value in values {
                prop_assert!(first * 0.999_999 <= value && value <= last * 1.000_001);
            }
        }
    }
}
