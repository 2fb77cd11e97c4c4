//! Which spans are kept: by the trace's own randomness, so that every host keeps the same traces, as
//! <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/> describes it.

use opentelemetry::trace::TraceId;

use super::node::Kept;

/// Randomness is the last 56 bits of a trace's id.
const RANDOM_BITS: u32 = 56;
const ALL: u64 = 1 << RANDOM_BITS;

/// What to keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingSettings {
    /// Share of the traces that begin here, from 0 to 1.
    pub ratio: f64,
    /// Spans a second above which the share is lowered, and the most errors and slow requests that are
    /// kept besides.
    pub spans_per_second: u32,
    /// Requests that took so long are kept, as errors are.
    pub slow_ns: u64,
}

impl Default for SamplingSettings {
    fn default() -> Self {
        Self { ratio: 1.0, spans_per_second: 200, slow_ns: 1_000_000_000 }
    }
}

/// Decides.
pub(super) struct Sampler {
    settings: SamplingSettings,
    chance: Chance,
    /// For errors and slow requests.
    spared: Chance,
}

impl Sampler {
    pub(super) fn new(settings: SamplingSettings) -> Self {
        let chance = |ratio| Chance::new(ratio, settings.spans_per_second);
        Self { settings, chance: chance(settings.ratio), spared: chance(1.0) }
    }

    /// Whether the spans of a trace that began here are kept.
    pub(super) fn trace(&mut self, id: TraceId) -> Option<Kept> {
        self.chance.keeps(id)
    }

    /// Whether a span is kept though its trace is not.
    pub(super) fn spares(&mut self, id: TraceId, is_error: bool, length_ns: u64) -> Option<Kept> {
        (is_error || length_ns >= self.settings.slow_ns).then(|| self.spared.keeps(id)).flatten()
    }

    /// A second has gone by.
    pub(super) fn tick(&mut self) {
        self.chance.tick();
        self.spared.tick();
    }
}

/// A share that is lowered where it lets too many through, and raised again.
struct Chance {
    /// The lowest threshold: that of the share that was asked for.
    least: u64,
    threshold: u64,
    limit: u32,
    /// In this second.
    asked: u64,
    kept: u32,
}

impl Chance {
    fn new(ratio: f64, limit: u32) -> Self {
        let least = threshold(ratio);
        Self { least, threshold: least, limit, asked: 0, kept: 0 }
    }

    fn keeps(&mut self, id: TraceId) -> Option<Kept> {
        self.asked += 1;
        if randomness(id) < self.threshold {
            return None;
        }
        self.kept += 1;
        let kept = Kept::Threshold(self.threshold);
        if self.kept.is_multiple_of(self.limit.max(1)) {
            // Too many by now: half as many from here on.
            self.threshold += (ALL - self.threshold) / 2;
        }
        Some(kept)
    }

    #[expect(clippy::cast_precision_loss, reason = "a share of requests in a second")]
    fn tick(&mut self) {
        let share = f64::from(self.limit) / self.asked.max(1) as f64;
        self.threshold = threshold(share).max(self.least);
        (self.asked, self.kept) = (0, 0);
    }
}

/// Below it a trace is dropped, where this share is to be kept.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a share of 2^56, which needs no more digits than a float has"
)]
fn threshold(ratio: f64) -> u64 {
    ((1.0 - ratio.clamp(0.0, 1.0)) * ALL as f64) as u64
}

fn randomness(id: TraceId) -> u64 {
    let bytes = id.to_bytes();
    let low = u64::from_be_bytes(bytes[8..].try_into().expect("eight bytes"));
    low & (ALL - 1)
}

/// The threshold as `tracestate` has it: hex digits without the zeros behind.
pub(super) fn written(threshold: u64) -> String {
    let digits = format!("{threshold:014x}");
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() { "0".into() } else { digits.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> TraceId {
        // Spread by a multiplication, since what is random is what counts.
        let spread = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        TraceId::from_bytes((spread | 1 << 127).to_be_bytes())
    }

    fn sampler(ratio: f64, spans_per_second: u32) -> Sampler {
        Sampler::new(SamplingSettings { ratio, spans_per_second, ..SamplingSettings::default() })
    }

    #[test]
    fn a_share_is_kept_and_says_which() {
        let mut sampler = sampler(0.25, u32::MAX);
        let kept = (0..10_000).filter_map(|number| sampler.trace(id(number))).collect::<Vec<_>>();
        assert!((2300..2700).contains(&kept.len()), "{}", kept.len());
        assert!(kept.iter().all(|kept| *kept == Kept::Threshold(ALL / 4 * 3)));
        assert_eq!(written(ALL / 4 * 3), "c");
        assert_eq!(written(0), "0");
    }

    #[test]
    fn however_many_there_are_only_so_many_are_kept_and_each_says_its_share() {
        let mut sampler = sampler(1.0, 100);
        for second in 0..5_u64 {
            let kept = (0..50_000)
                .filter_map(|number| sampler.trace(id(second * 50_000 + number)))
                .collect::<Vec<_>>();
            let limits = if second == 0 { 100..1200 } else { 50..250 };
            assert!(limits.contains(&kept.len()), "{second}: {}", kept.len());
            let standing: f64 = kept.iter().map(|kept| stands_for(*kept)).sum();
            assert!(
                second == 0 || (30_000.0..75_000.0).contains(&standing),
                "{second}: {standing}"
            );
            sampler.tick();
        }
        // A quiet second ends it.
        sampler.tick();
        assert_eq!(sampler.trace(id(7)), Some(Kept::Threshold(0)));
    }

    fn stands_for(kept: Kept) -> f64 {
        let Kept::Threshold(threshold) = kept else { return 1.0 };
        1.0 / (1.0 - threshold as f64 / ALL as f64)
    }

    #[test]
    fn errors_and_slow_requests_are_spared() {
        let mut sampler = sampler(0.0, 100);
        assert_eq!(sampler.trace(id(1)), None);
        assert_eq!(sampler.spares(id(1), false, 5), None);
        assert_eq!(sampler.spares(id(1), true, 5), Some(Kept::Threshold(0)));
        assert_eq!(sampler.spares(id(1), false, 2_000_000_000), Some(Kept::Threshold(0)));
    }
}
