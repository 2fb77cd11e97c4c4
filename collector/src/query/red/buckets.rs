//! The value of a point, out of OTLP's own encoding, and what one value is above another.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint, SummaryDataPoint,
    number_data_point,
};
use prost::Message;

use super::spread::Spread;
use crate::metric::{Point, PointKind};

/// Coarser than any sender makes a histogram.
const COARSEST: i32 = -20;

/// The value of a point.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// A number, or a summary's count.
    Number(f64),
    /// Counts between explicit bounds: one more count than bounds, or only the total.
    Explicit {
        /// All values.
        count: u64,
        /// Upper bounds.
        bounds: Vec<f64>,
        /// Count by bucket.
        counts: Vec<u64>,
    },
    /// Counts in buckets that grow by a factor of 2^(2^-scale).
    Exponential {
        /// All values.
        count: u64,
        /// Values that are not above `threshold`.
        zero: u64,
        /// Upper bound of what counts as zero.
        threshold: f64,
        /// How fine the buckets are.
        scale: i32,
        /// Count by bucket.
        counts: BTreeMap<i32, u64>,
    },
}

impl Reading {
    /// The value of a stored point; `None` if it has none.
    #[must_use]
    pub fn of(point: &Point) -> Option<Self> {
        let data = &point.data[..];
        match point.series.kind {
            PointKind::Gauge | PointKind::Sum => number(&NumberDataPoint::decode(data).ok()?),
            PointKind::Histogram => {
                let of = HistogramDataPoint::decode(data).ok()?;
                let (bounds, counts) = (of.explicit_bounds, of.bucket_counts);
                (of.flags & 1 == 0).then_some(Self::Explicit { count: of.count, bounds, counts })
            }
            PointKind::ExponentialHistogram => {
                exponential(ExponentialHistogramDataPoint::decode(data).ok()?)
            }
            PointKind::Summary => {
                let of = SummaryDataPoint::decode(data).ok()?;
                #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
                let count = of.count as f64;
                Some(Self::Number(count))
            }
        }
    }

    /// How many events it counts, or the number.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
    pub fn count(&self) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Explicit { count, .. } | Self::Exponential { count, .. } => *count as f64,
        }
    }

    /// What was added since `before`; `None` if this one began anew.
    #[must_use]
    pub fn since(&self, before: &Self) -> Option<Self> {
        match (self, before) {
            (Self::Number(now), Self::Number(before)) if now >= before => {
                Some(Self::Number(now - before))
            }
            (
                Self::Explicit { count, bounds, counts },
                Self::Explicit { count: count_before, bounds: same, counts: before },
            ) if bounds == same && counts.len() == before.len() => {
                let pairs = counts.iter().zip(before);
                let counts =
                    pairs.map(|(now, before)| now.checked_sub(*before)).collect::<Option<_>>()?;
                let count = count.checked_sub(*count_before)?;
                Some(Self::Explicit { count, bounds: bounds.clone(), counts })
            }
            (Self::Exponential { scale, .. }, Self::Exponential { scale: before_scale, .. }) => {
                let scale = *scale.min(before_scale);
                self.coarser(scale).exponential_since(&before.coarser(scale))
            }
            _ => None,
        }
    }

    fn exponential_since(&self, before: &Self) -> Option<Self> {
        let (
            Self::Exponential { count, zero, threshold, scale, counts },
            Self::Exponential { count: count_before, zero: zero_before, counts: before, .. },
        ) = (self, before)
        else {
            return None;
        };
        let mut counts = counts.clone();
        for (index, before) in before {
            let now = counts.get_mut(index)?;
            *now = now.checked_sub(*before)?;
        }
        Some(Self::Exponential {
            count: count.checked_sub(*count_before)?,
            zero: zero.checked_sub(*zero_before)?,
            threshold: *threshold,
            scale: *scale,
            counts,
        })
    }

    /// An exponential histogram at a scale that is not finer.
    fn coarser(&self, to: i32) -> Self {
        let Self::Exponential { count, zero, threshold, scale, counts } = self else {
            return self.clone();
        };
        let by = (scale - to).clamp(0, 31);
        let mut merged: BTreeMap<i32, u64> = BTreeMap::new();
        for (index, count) in counts {
            *merged.entry(index >> by).or_default() += count;
        }
        let (count, zero, threshold) = (*count, *zero, *threshold);
        Self::Exponential { count, zero, threshold, scale: to, counts: merged }
    }

    /// Adds its buckets to a spread, `unit_s` seconds per unit of the values.
    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
    pub fn add_to(&self, spread: &mut Spread, unit_s: f64, share: f64) {
        match self {
            Self::Number(_) => {}
            Self::Explicit { bounds, counts, .. } => {
                let mut lower = 0.0;
                let uppers = bounds.iter().copied().chain([f64::INFINITY]);
                for (upper, count) in uppers.zip(counts) {
                    spread.add(lower * unit_s, upper * unit_s, *count as f64 * share);
                    lower = upper;
                }
            }
            Self::Exponential { zero, threshold, scale, counts, .. } => {
                spread.add(0.0, threshold * unit_s, *zero as f64 * share);
                let base = f64::from(-*scale).exp2().exp2();
                for (index, count) in counts {
                    let lower = base.powi(*index);
                    spread.add(lower * unit_s, lower * base * unit_s, *count as f64 * share);
                }
            }
        }
    }
}

fn number(of: &NumberDataPoint) -> Option<Reading> {
    #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
    let number = match of.value? {
        number_data_point::Value::AsDouble(number) => number,
        number_data_point::Value::AsInt(number) => number as f64,
    };
    (of.flags & 1 == 0 && number.is_finite()).then_some(Reading::Number(number))
}

fn exponential(of: ExponentialHistogramDataPoint) -> Option<Reading> {
    if of.flags & 1 != 0 || of.scale < COARSEST {
        return None;
    }
    let positive = of.positive.unwrap_or_default();
    let index = |at: usize| i32::try_from(at).ok()?.checked_add(positive.offset);
    let counts = positive.bucket_counts.iter().enumerate();
    let counts = counts.filter(|(_, count)| **count > 0);
    let counts = counts.map(|(at, count)| Some((index(at)?, *count))).collect::<Option<_>>()?;
    Some(Reading::Exponential {
        count: of.count,
        zero: of.zero_count,
        threshold: of.zero_threshold.max(0.0),
        scale: of.scale,
        counts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exponential_at(scale: i32, counts: &[(i32, u64)]) -> Reading {
        let count = counts.iter().map(|(_, count)| count).sum();
        let counts = counts.iter().copied().collect();
        Reading::Exponential { count, zero: 0, threshold: 0.0, scale, counts }
    }

    #[test]
    fn a_histogram_that_became_coarser_is_no_new_one() {
        let before = exponential_at(1, &[(-3, 1), (4, 2), (5, 3)]);
        let now = exponential_at(0, &[(-2, 1), (2, 9)]);
        assert_eq!(now.since(&before), Some(exponential_at(0, &[(-2, 0), (2, 4)])));
        assert_eq!(before.since(&now), None, "it counts less than before");
    }

    #[test]
    fn other_bounds_are_a_new_histogram() {
        let at = |bound| Reading::Explicit { count: 1, bounds: vec![bound], counts: vec![1, 0] };
        assert!(at(0.1).since(&at(0.1)).is_some());
        assert_eq!(at(0.1).since(&at(0.2)), None);
    }
}
