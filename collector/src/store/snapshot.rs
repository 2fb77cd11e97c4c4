//! What the store held at one moment, and the questions answered on it.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::error::StoreError;
use super::memtable::{Memtable, SampleRow};
use super::select::{Merged, Select, Timeline, TimelineBy, TimelineGroup, TimelinePoint};
use super::symbols::{Series, SeriesId, StackId, Symbols};

/// More steps than any screen has pixels; a question for more is a mistake.
const MAX_STEPS: i64 = 20_000;

/// Everything a query reads. Writes after it was taken are not seen.
pub(super) struct Snapshot {
    pub(super) symbols: Arc<Symbols>,
    /// Samples in memory: sealed segments and the one being filled.
    pub(super) tables: Vec<Memtable>,
}

/// The series that pass a question's conditions.
pub(super) type Chosen = FxHashMap<u64, Arc<Series>>;

impl Snapshot {
    /// Sum by stack.
    pub(super) async fn merge(&self, select: &Select) -> Result<Merged, StoreError> {
        let chosen = self.choose(select);
        let mut stacks: FxHashMap<u64, i64> = FxHashMap::default();
        self.scan(select, &chosen, |row| add(stacks.entry(row.stack).or_default(), row.value));
        let (events, value_without_period) = events(&self.totals(select, &chosen).await?, &chosen);
        let stacks = stacks.into_iter().map(|(stack, value)| (StackId(stack), value)).collect();
        Ok(Merged { stacks, events, value_without_period, series: chosen.len() })
    }

    /// Sum by series.
    pub(super) async fn series(
        &self,
        select: &Select,
    ) -> Result<Vec<(Arc<Series>, i64)>, StoreError> {
        let chosen = self.choose(select);
        let totals = self.totals(select, &chosen).await?;
        let named = |(id, total)| Some((Arc::clone(chosen.get(&id)?), total));
        Ok(totals.into_iter().filter_map(named).collect())
    }

    /// Sum by step and group.
    pub(super) async fn timeline(
        &self,
        select: &Select,
        step_ms: i64,
        by: &TimelineBy,
    ) -> Result<Timeline, StoreError> {
        let steps = count_steps(select, step_ms)?;
        let chosen = self.choose(select);
        let groups = group_names(&chosen, by);
        let mut sums: FxHashMap<(u32, TimelineGroup), i64> = FxHashMap::default();
        self.scan(select, &chosen, |row| {
            let step = u32::try_from((row.unix_ms - select.from_unix_ms) / step_ms).unwrap_or(0);
            let group = match groups.get(&row.series) {
                Some(name) => TimelineGroup::Label(Arc::clone(name)),
                None if *by == TimelineBy::Stack => TimelineGroup::Stack(StackId(row.stack)),
                None => TimelineGroup::All,
            };
            add(sums.entry((step, group)).or_default(), row.value);
        });
        let mut points: Vec<TimelinePoint> = sums
            .into_iter()
            .filter(|(_, value)| *value != 0)
            .map(|((step, group), value)| TimelinePoint { step, group, value })
            .collect();
        points.sort_unstable_by(|a, b| (a.step, &a.group).cmp(&(b.step, &b.group)));
        Ok(Timeline { from_unix_ms: select.from_unix_ms, step_ms, steps, points })
    }

    fn choose(&self, select: &Select) -> Chosen {
        let accepted = self.symbols.series().filter(|series| select.accepts(series));
        accepted.map(|series| (series.id.0, Arc::clone(series))).collect()
    }

    async fn totals(
        &self,
        select: &Select,
        chosen: &Chosen,
    ) -> Result<FxHashMap<u64, i64>, StoreError> {
        let mut totals: FxHashMap<u64, i64> = FxHashMap::default();
        self.scan(select, chosen, |row| add(totals.entry(row.series).or_default(), row.value));
        Ok(totals)
    }

    /// Visits the samples in memory that the question is about.
    fn scan(&self, select: &Select, chosen: &Chosen, mut visit: impl FnMut(&SampleRow)) {
        let range = select.from_unix_ms..select.until_unix_ms;
        for row in self.tables.iter().flat_map(Memtable::iter) {
            if range.contains(&row.unix_ms) && chosen.contains_key(&row.series) {
                visit(row);
            }
        }
    }
}

fn add(sum: &mut i64, value: i64) {
    *sum = sum.saturating_add(value);
}

fn group_names(chosen: &Chosen, by: &TimelineBy) -> FxHashMap<u64, Arc<str>> {
    let TimelineBy::Label(label) = by else { return FxHashMap::default() };
    let value = |series: &Series| series.labels.get(label).cloned().unwrap_or_default();
    chosen.iter().map(|(&id, series)| (id, value(series))).collect()
}

fn events(totals: &FxHashMap<u64, i64>, chosen: &Chosen) -> (f64, i64) {
    let mut events = 0.0;
    let mut unknown = 0i64;
    for (id, &total) in totals {
        match chosen.get(id).map_or(0, |series| series.period) {
            0 => add(&mut unknown, total),
            #[expect(
                clippy::cast_precision_loss,
                reason = "a count for people; 53 bits are enough"
            )]
            period => events += total as f64 / period as f64,
        }
    }
    (events, unknown)
}

fn count_steps(select: &Select, step_ms: i64) -> Result<usize, StoreError> {
    let range = select.until_unix_ms.saturating_sub(select.from_unix_ms).max(0);
    if step_ms <= 0 || range / step_ms.max(1) > MAX_STEPS {
        return Err(StoreError::BadSelect(format!(
            "a range of {range} ms in steps of {step_ms} ms is more than {MAX_STEPS} steps"
        )));
    }
    Ok(usize::try_from((range + step_ms - 1) / step_ms).unwrap_or(0))
}
