//! What changed lately, so that an answer kept from before is known to be as good as a new one.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::grain::MINUTE_MS;
use super::memtable::SampleRow;
use super::select::Select;
use super::symbols::{Series, SeriesId, Symbols};

/// More than these are forgotten all at once; answers from before then count as old.
const MOST: usize = 64 << 10;

/// Changes of an open store, by series and minute of their samples' time.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Grows with every change.
    version: u64,
    /// What changed up to this version is not known any more.
    forgotten: u64,
    series: FxHashMap<u64, Arc<Series>>,
    /// Last change of a series' minute.
    minutes: FxHashMap<(u64, i64), u64>,
    /// Ranges of which samples of any series went or became coarser.
    ranges: Vec<(u64, i64, i64)>,
}

impl Changes {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Samples came.
    pub(super) fn came(&mut self, rows: &[SampleRow], symbols: &Symbols) {
        self.version += 1;
        for row in rows {
            let minute = row.unix_ms.div_euclid(MINUTE_MS);
            if self.minutes.insert((row.series, minute), self.version).is_none() {
                let series = symbols.series_by_id(SeriesId(row.series)).cloned();
                self.series.extend(series.map(|series| (row.series, series)));
            }
        }
        self.forget_many();
    }

    /// Samples of a range are not what they were.
    pub(super) fn altered(&mut self, from_unix_ms: i64, until_unix_ms: i64) {
        self.version += 1;
        self.ranges.push((self.version, from_unix_ms, until_unix_ms));
        self.forget_many();
    }

    fn forget_many(&mut self) {
        if self.minutes.len() + self.ranges.len() > MOST {
            *self = Self { version: self.version, forgotten: self.version, ..Self::default() };
        }
    }

    /// Whether a question may have another answer than it had at `version`.
    pub(super) fn touch(&self, version: u64, select: &Select) -> bool {
        let (from, until) = (select.from_unix_ms, select.until_unix_ms);
        if version == self.version {
            return false;
        }
        let altered =
            |range: &(u64, i64, i64)| range.0 > version && range.1 < until && range.2 > from;
        if version < self.forgotten || self.ranges.iter().any(altered) {
            return true;
        }
        let minutes = from.div_euclid(MINUTE_MS)..=until.saturating_sub(1).div_euclid(MINUTE_MS);
        self.minutes.iter().any(|((series, minute), &changed)| {
            changed > version
                && minutes.contains(minute)
                && self.series.get(series).is_none_or(|series| select.accepts(series))
        })
    }
}
