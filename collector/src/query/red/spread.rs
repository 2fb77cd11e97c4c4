//! How values are spread: counts between bounds, of histograms whose bounds need not be the same.

use std::collections::{BTreeMap, BTreeSet};

/// OpenTelemetry's bounds for `http.server.request.duration`, in seconds.
pub const DEFAULT_BOUNDS_S: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Counts by bucket. Bounds are seconds that are not negative.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread {
    /// Lower and upper bound, as bits: those of positive numbers sort as the numbers do.
    buckets: BTreeMap<(u64, u64), f64>,
}

impl Spread {
    /// Adds a bucket.
    pub fn add(&mut self, lower: f64, upper: f64, count: f64) {
        let lower = lower.max(0.0);
        // Empty buckets count too: they say where the bounds are.
        if count >= 0.0 && upper >= lower {
            *self.buckets.entry((lower.to_bits(), upper.to_bits())).or_default() += count;
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        other.buckets().for_each(|(lower, upper, count)| self.add(lower, upper, count));
    }

    /// All counts.
    #[must_use]
    pub fn count(&self) -> f64 {
        self.buckets.values().sum()
    }

    fn buckets(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        let of = |(bounds, count): (&(u64, u64), &f64)| {
            (f64::from_bits(bounds.0), f64::from_bits(bounds.1), *count)
        };
        self.buckets.iter().map(of)
    }

    /// Upper bounds of buckets that have one, lowest first.
    #[must_use]
    pub fn bounds(&self) -> Vec<f64> {
        let uppers: BTreeSet<u64> = self.buckets.keys().map(|(_, upper)| *upper).collect();
        uppers.into_iter().map(f64::from_bits).filter(|bound| bound.is_finite()).collect()
    }

    /// The value that a share of all are not above, taking values to lie evenly in their buckets;
    /// `None` if there are none. In the last bucket, whose end nobody knows, it is the start.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = share * self.count();
        let bounds: BTreeSet<u64> =
            self.buckets.keys().flat_map(|(lower, upper)| [*lower, *upper]).collect();
        let bounds: Vec<f64> = bounds.into_iter().map(f64::from_bits).collect();
        let uppers: Vec<f64> = bounds.iter().copied().filter(|bound| bound.is_finite()).collect();
        let counts = self.by_bounds(&uppers);
        let (mut seen, mut lower, mut last) = (0.0, 0.0, None);
        for (at, count) in counts.iter().enumerate() {
            let upper = uppers.get(at).copied();
            if *count > 0.0 {
                let Some(upper) = upper else { return Some(lower) };
                if seen + count >= wanted {
                    return Some(lower + (upper - lower) * ((wanted - seen) / count).max(0.0));
                }
                last = Some(upper);
            }
            seen += count;
            lower = upper.unwrap_or(lower);
        }
        last
    }

    /// Counts between given upper bounds, and above the last. A bucket that lies across a bound is
    /// taken apart by length.
    #[must_use]
    pub fn by_bounds(&self, uppers: &[f64]) -> Vec<f64> {
        let mut counts = vec![0.0; uppers.len() + 1];
        for (lower, upper, count) in self.buckets() {
            let first = uppers.partition_point(|bound| *bound <= lower);
            let whole = upper <= uppers.get(first).copied().unwrap_or(f64::INFINITY);
            if whole || !upper.is_finite() {
                // A bucket without an end has its values near its start.
                counts[if whole && upper == lower { point(uppers, upper) } else { first }] += count;
                continue;
            }
            let (mut from, length) = (lower, upper - lower);
            for (at, slot) in counts.iter_mut().enumerate().skip(first) {
                let to = uppers.get(at).copied().unwrap_or(f64::INFINITY).min(upper);
                *slot += count * (to - from) / length;
                from = to;
                if from >= upper {
                    break;
                }
            }
        }
        counts
    }
}

/// Where a single value counts: bounds are inclusive.
fn point(uppers: &[f64], value: f64) -> usize {
    uppers.partition_point(|bound| *bound < value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spread(buckets: &[(f64, f64, f64)]) -> Spread {
        let mut spread = Spread::default();
        buckets.iter().for_each(|&(lower, upper, count)| spread.add(lower, upper, count));
        spread
    }

    #[test]
    fn quantiles_are_interpolated_in_their_bucket() {
        let of = spread(&[(0.0, 0.1, 50.0), (0.1, 0.2, 40.0), (0.2, f64::INFINITY, 10.0)]);
        let near = |share, expected: f64| {
            let got = of.quantile(share).expect("values");
            assert!((got - expected).abs() < 1e-9, "{share}: {got}, expected {expected}");
        };
        near(0.25, 0.05);
        near(0.5, 0.1);
        near(0.7, 0.15);
        near(0.99, 0.2);
        assert_eq!(Spread::default().quantile(0.5), None);
    }

    #[test]
    fn a_bucket_across_a_bound_is_taken_apart_by_length() {
        let of = spread(&[(0.0, 4.0, 8.0), (4.0, f64::INFINITY, 1.0)]);
        assert_eq!(of.by_bounds(&[1.0, 2.0]), [2.0, 2.0, 5.0]);
        assert_eq!(of.by_bounds(&[4.0]), [8.0, 1.0]);
        assert_eq!(of.by_bounds(&[]), [9.0]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_quantiles_rise(
            buckets in proptest::collection::vec((0u8..50, 0u8..50, 1u32..100), 1..12),
            uppers in proptest::collection::btree_set(0u8..60, 0..8),
        ) {
            let mut of = Spread::default();
            for (lower, length, count) in buckets {
                let upper = if length > 45 { f64::INFINITY } else { f64::from(lower) + f64::from(length) };
                of.add(f64::from(lower), upper, f64::from(count));
            }
            let uppers: Vec<f64> = uppers.into_iter().map(f64::from).collect();
            let counts: f64 = of.by_bounds(&uppers).iter().sum();
            prop_assert!((counts - of.count()).abs() < 1e-6);
            let shares = [0.01, 0.5, 0.9, 0.95, 0.99, 1.0];
            let values: Vec<f64> = shares.iter().filter_map(|share| of.quantile(*share)).collect();
            prop_assert_eq!(values.len(), shares.len());
            prop_assert!(values.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}", values);
        }
    }
}
