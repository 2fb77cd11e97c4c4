//! A timeline's sums by kind of code.

use rustc_hash::FxHashMap;

use super::kind::Kind;
use crate::store::{StackId, SymbolsView, Timeline, TimelineGroup};

/// Agents send windows of this length; shorter steps would show their rhythm, not the load.
const SHORTEST_STEP_MS: i64 = 10_000;

/// Sums of one kind, one per step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindSeries {
    /// Kind of the leaf frames.
    pub kind: Kind,
    /// Sum of each step, in the type's unit.
    pub values: Vec<i64>,
}

/// Length of a step so that about `points` of them cover `length_ms`: whole multiples of 10 s, or
/// of `window_ms` where samples were added up over longer windows.
#[must_use]
pub fn step_ms(length_ms: i64, points: u32, window_ms: i64) -> i64 {
    let unit = SHORTEST_STEP_MS.max(window_ms);
    let wanted = length_ms.div_euclid(i64::from(points.max(1))).max(1);
    wanted.saturating_add(unit - 1).div_euclid(unit) * unit
}

/// Folds a timeline by stack into one series per kind of the leaf frame; all five, always.
#[must_use]
pub fn by_kind(timeline: &Timeline, symbols: &SymbolsView) -> Vec<KindSeries> {
    let mut kinds = FxHashMap::default();
    let mut series =
        Kind::ALL.map(|kind| KindSeries { kind, values: vec![0; timeline.steps] }).to_vec();
    for point in &timeline.points {
        let kind = match point.group {
            TimelineGroup::Stack(stack) => {
                *kinds.entry(stack).or_insert_with(|| leaf_kind(stack, symbols))
            }
            TimelineGroup::All | TimelineGroup::Label(_) => Kind::Unknown,
        };
        if let Some(value) = series[kind as usize].values.get_mut(point.step as usize) {
            *value = value.saturating_add(point.value);
        }
    }
    series
}

fn leaf_kind(stack: StackId, symbols: &SymbolsView) -> Kind {
    let mut locations = Vec::new();
    symbols.locations(stack, &mut locations);
    let leaf = locations.first().and_then(|&leaf| symbols.location(leaf));
    let frame = leaf.and_then(|leaf| symbols.frame(leaf.lines.first()?.frame));
    frame.map_or(Kind::Unknown, |frame| {
        let base = frame.binary.rsplit_once('/').map_or(&*frame.binary, |(_, base)| base);
        Kind::of(&frame.name, base)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_whole_windows_and_never_more_than_asked() {
        assert_eq!(step_ms(900_000, 300, 1), 10_000);
        assert_eq!(step_ms(3_600_000, 300, 1), 20_000);
        assert_eq!(step_ms(3_000_000, 300, 1), 10_000);
        assert_eq!(step_ms(1, 300, 1), 10_000);
        assert_eq!(step_ms(86_400_000, 0, 1), 86_400_000);
        assert_eq!(step_ms(900_000, 300, 60_000), 60_000, "no finer than what is kept");
        assert_eq!(step_ms(7 * 86_400_000, 100, 3_600_000), 2 * 3_600_000);
    }
}
