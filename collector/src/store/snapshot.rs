//! What the store held at one moment, and the questions answered on it: samples in memory are
//! added up here, those in files by `scan`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::error::StoreError;
use super::files::DataFile;
use super::manifest::FileEntry;
use super::memtable::{Memtable, SampleRow};
use super::scan::{Engine, Key, RowFilter};
use super::select::{
    Kept, Merged, MergedServices, Select, ServiceStacks, Timeline, TimelineBy, TimelineGroup,
    TimelinePoint, Unread,
};
use super::symbols::{Chunked, Series, StackId, Symbols, SymbolsView};
use crate::metric::Point;
use crate::trace::Span;

/// More steps than any screen has pixels; a question for more is a mistake.
const MAX_STEPS: i64 = 20_000;

/// More services or types than this in one condition cost more than the rows they would leave out.
const MAX_NAMES: usize = 256;

/// The store at one moment. Writes after it was taken are not seen; files that are replaced
/// meanwhile stay until it is dropped.
#[derive(Clone)]
pub struct Snapshot {
    pub(super) engine: Arc<Engine>,
    pub(super) symbols: Symbols,
    /// Samples in memory: sealed segments and the one being filled.
    pub(super) tables: Vec<Memtable>,
    pub(super) files: Vec<Arc<DataFile>>,
    /// Spans in memory.
    pub(super) spans: Vec<Chunked<Span>>,
    pub(super) span_files: Vec<Arc<DataFile>>,
    /// Points in memory.
    pub(super) points: Vec<Chunked<Point>>,
    pub(super) metric_files: Vec<Arc<DataFile>>,
    /// Files that were set aside before.
    pub(super) damaged: Vec<FileEntry>,
    pub(super) version: u64,
}

/// The series that pass a question's conditions.
struct Chosen {
    series: FxHashMap<u64, Arc<Series>>,
    filter: RowFilter,
}

impl Snapshot {
    /// The symbols that resolve every stack this snapshot answers with.
    #[must_use]
    pub fn symbols(&self) -> SymbolsView {
        SymbolsView(Arc::new(self.symbols.clone()))
    }

    /// Counts the changes of the store up to this snapshot; see [`super::Store::changed_since`].
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How finely samples of a range are kept, and the range as far as it has to be widened so that
    /// it begins and ends between them: of an hour that was added up nobody knows the first half.
    #[must_use]
    pub fn kept(&self, from_unix_ms: i64, until_unix_ms: i64) -> Kept {
        let mut kept = Kept { from_unix_ms, until_unix_ms, window_ms: 1 };
        let entries = || self.files.iter().map(|file| &file.entry);
        for entry in entries().filter(|entry| entry.overlaps(from_unix_ms, until_unix_ms)) {
            kept.from_unix_ms = kept.from_unix_ms.min(entry.grain.floor(from_unix_ms));
            if until_unix_ms < entry.until_unix_ms {
                kept.until_unix_ms = kept.until_unix_ms.max(entry.grain.ceil(until_unix_ms));
            }
        }
        let (from, until) = (kept.from_unix_ms, kept.until_unix_ms);
        for entry in entries().filter(|entry| entry.overlaps(from, until)) {
            kept.window_ms = kept.window_ms.max(entry.grain.window_ms());
        }
        kept
    }

    /// Files known to be damaged, whose samples of a range are missing in answers. Ask after the
    /// question: it is what finds them.
    #[must_use]
    pub fn unread(&self, from_unix_ms: i64, until_unix_ms: i64) -> Vec<Unread> {
        let files = self.files.iter().chain(&self.span_files).chain(&self.metric_files);
        let found = files.filter(|file| file.damage().is_some());
        let entries = found.map(|file| &file.entry).chain(&self.damaged);
        entries
            .filter(|entry| entry.overlaps(from_unix_ms, until_unix_ms))
            .map(|entry| Unread { file: entry.file.clone(), samples: entry.rows })
            .collect()
    }

    /// Sum by stack.
    ///
    /// # Errors
    /// The query failed or needed more memory than it may take.
    pub async fn merge(&self, select: &Select) -> Result<Merged, StoreError> {
        let chosen = self.choose(select);
        let sums = self.sums(&chosen, Key::Stack).await?;
        let total = sums.values().fold(0, |all: i64, sum| all.saturating_add(*sum));
        let (events, value_without_period) = self.events(&chosen, total).await?;
        let stacks = sums.into_iter().map(|(stack, value)| (StackId(stack), value)).collect();
        Ok(Merged { stacks, events, value_without_period, series: chosen.series.len() })
    }

    /// Sum by stack, service by service, in the order of their names.
    ///
    /// # Errors
    /// As [`Snapshot::merge`].
    pub async fn merge_by_service(&self, select: &Select) -> Result<MergedServices, StoreError> {
        let chosen = self.choose(select);
        let mut sums: BTreeMap<Arc<str>, FxHashMap<u64, i64>> = BTreeMap::new();
        if chosen.series.is_empty() {
            return Ok(MergedServices::default());
        }
        let mut count = |service: &str, stack: u64, value: i64| match sums.get_mut(service) {
            Some(stacks) => add(stacks.entry(stack).or_default(), value),
            None => {
                sums.insert(service.into(), FxHashMap::from_iter([(stack, value)]));
            }
        };
        self.scan(&chosen, |row| {
            let service = chosen.series.get(&row.series).map_or("", |series| series.service());
            count(service, row.stack, row.value);
        });
        self.engine.sums_by_service(&self.files, &chosen.filter, &mut count).await?;
        let values = sums.values().flat_map(FxHashMap::values);
        let total = values.fold(0, |all: i64, sum| all.saturating_add(*sum));
        let (events, value_without_period) = self.events(&chosen, total).await?;
        let services = sums.into_iter().map(|(service, sums)| {
            let stacks = sums.into_iter().map(|(stack, value)| (StackId(stack), value));
            ServiceStacks { service, stacks: stacks.collect() }
        });
        Ok(MergedServices { services: services.collect(), events, value_without_period })
    }

    /// Events behind `total`, the sum of all that was chosen, and the part that nobody knows of.
    async fn events(&self, chosen: &Chosen, total: i64) -> Result<(f64, i64), StoreError> {
        Ok(match chosen.one_period() {
            Some(one) => events_of(one, total),
            None => events(&self.sums(chosen, Key::Series).await?, chosen),
        })
    }

    /// The selected series that have samples in the range, each with their sum.
    ///
    /// # Errors
    /// As [`Snapshot::merge`].
    pub async fn series(&self, select: &Select) -> Result<Vec<(Arc<Series>, i64)>, StoreError> {
        let chosen = self.choose(select);
        let totals = self.sums(&chosen, Key::Series).await?;
        let named = |(id, total)| Some((Arc::clone(chosen.series.get(&id)?), total));
        Ok(totals.into_iter().filter_map(named).collect())
    }

    /// Sum by step and by what `by` says. A step begins at `from_unix_ms + n * step_ms`; steps
    /// shorter than [`Kept::window_ms`] show the windows' starts, not the load.
    ///
    /// # Errors
    /// Too many steps, or as [`Snapshot::merge`].
    pub async fn timeline(
        &self,
        select: &Select,
        step_ms: i64,
        by: &TimelineBy,
    ) -> Result<Timeline, StoreError> {
        let steps = count_steps(select, step_ms)?;
        let chosen = self.choose(select);
        let key = if *by == TimelineBy::Stack { Key::Stack } else { Key::Series };
        let groups = group_names(&chosen, by);
        let mut sums: FxHashMap<(u32, TimelineGroup), i64> = FxHashMap::default();
        let mut count = |step: i64, key: u64, value: i64| {
            let group = match (by, groups.get(&key)) {
                (TimelineBy::Stack, _) => TimelineGroup::Stack(StackId(key)),
                (_, Some(name)) => TimelineGroup::Label(Arc::clone(name)),
                (_, None) => TimelineGroup::All,
            };
            add(sums.entry((u32::try_from(step).unwrap_or(0), group)).or_default(), value);
        };
        self.scan(&chosen, |row| {
            count((row.unix_ms - select.from_unix_ms) / step_ms, key.of(row), row.value);
        });
        for (step, key, sum) in self.engine.steps(&self.files, &chosen.filter, step_ms, key).await?
        {
            count(step, key, sum);
        }
        let mut points: Vec<TimelinePoint> = sums
            .into_iter()
            .filter(|(_, value)| *value != 0)
            .map(|((step, group), value)| TimelinePoint { step, group, value })
            .collect();
        points.sort_unstable_by(|a, b| (a.step, &a.group).cmp(&(b.step, &b.group)));
        Ok(Timeline { from_unix_ms: select.from_unix_ms, step_ms, steps, points })
    }

    fn choose(&self, select: &Select) -> Chosen {
        let mut series: FxHashMap<u64, Arc<Series>> = FxHashMap::default();
        let mut rest: Vec<&Arc<Series>> = Vec::new();
        let (mut services, mut types) = (BTreeSet::new(), BTreeSet::new());
        for one in self.symbols.series() {
            if select.accepts(one) {
                services.insert(one.service());
                types.insert(&one.profile_type);
                series.insert(one.id.0, Arc::clone(one));
            } else {
                rest.push(one);
            }
        }
        let narrow = !rest.is_empty();
        let services = (narrow && services.len() <= MAX_NAMES).then_some(services);
        let types = (narrow && types.len() <= MAX_NAMES).then_some(types);
        // Series need a condition of their own only where service and type let others pass.
        let others = rest.iter().any(|one| {
            services.as_ref().is_none_or(|services| services.contains(one.service()))
                && types.as_ref().is_none_or(|types| types.contains(&one.profile_type))
        });
        let filter = RowFilter {
            services: services.map(|names| names.into_iter().map(str::to_owned).collect()),
            types: types.map(|types| types.into_iter().map(ToString::to_string).collect()),
            series: others.then(|| series.keys().copied().collect()),
            from_unix_ms: select.from_unix_ms,
            until_unix_ms: select.until_unix_ms,
        };
        Chosen { series, filter }
    }

    async fn sums(&self, chosen: &Chosen, key: Key) -> Result<FxHashMap<u64, i64>, StoreError> {
        let mut sums: FxHashMap<u64, i64> = FxHashMap::default();
        if chosen.series.is_empty() {
            return Ok(sums);
        }
        self.scan(chosen, |row| add(sums.entry(key.of(row)).or_default(), row.value));
        for (key, sum) in self.engine.sums(&self.files, &chosen.filter, key).await? {
            add(sums.entry(key).or_default(), sum);
        }
        Ok(sums)
    }

    /// Visits the samples in memory that the question is about.
    fn scan(&self, chosen: &Chosen, mut visit: impl FnMut(&SampleRow)) {
        let range = chosen.filter.from_unix_ms..chosen.filter.until_unix_ms;
        for row in self.tables.iter().flat_map(Memtable::iter) {
            if range.contains(&row.unix_ms) && chosen.series.contains_key(&row.series) {
                visit(row);
            }
        }
    }
}

impl Key {
    fn of(self, row: &SampleRow) -> u64 {
        match self {
            Self::Stack => row.stack,
            Self::Series => row.series,
        }
    }
}

impl Chosen {
    /// A series that stands for all, if all count events alike.
    fn one_period(&self) -> Option<&Series> {
        let mut all = self.series.values();
        let first = all.next()?;
        let alike = |other: &Arc<Series>| {
            other.period == first.period && other.profile_type == first.profile_type
        };
        all.all(alike).then_some(first)
    }
}

fn add(sum: &mut i64, value: i64) {
    *sum = sum.saturating_add(value);
}

fn group_names(chosen: &Chosen, by: &TimelineBy) -> FxHashMap<u64, Arc<str>> {
    let TimelineBy::Label(label) = by else { return FxHashMap::default() };
    let value = |series: &Series| series.labels.get(label).cloned().unwrap_or_default();
    chosen.series.iter().map(|(&id, series)| (id, value(series))).collect()
}

fn events(totals: &FxHashMap<u64, i64>, chosen: &Chosen) -> (f64, i64) {
    let mut all = (0.0, 0i64);
    for (id, &total) in totals {
        if let Some(series) = chosen.series.get(id) {
            let (events, unknown) = events_of(series, total);
            all = (all.0 + events, all.1.saturating_add(unknown));
        }
    }
    all
}

/// How many events a total of one series stands for, or the total again if nobody knows: counts
/// are events; other values are where the period has their unit. Of allocations, a sample is one in
/// so many bytes, and its sender has scaled it up already.
#[expect(clippy::cast_precision_loss, reason = "a count for people; 53 bits are enough")]
fn events_of(series: &Series, total: i64) -> (f64, i64) {
    let kind = &series.profile_type;
    if kind.period_unit.as_ref() == "bytes" {
        (0.0, total)
    } else if kind.sample_unit.as_ref() == "count" {
        (total as f64, 0)
    } else if series.period > 0 && kind.sample_unit == kind.period_unit {
        (total as f64 / series.period as f64, 0)
    } else {
        (0.0, total)
    }
}

fn count_steps(select: &Select, step_ms: i64) -> Result<usize, StoreError> {
    let range = select.until_unix_ms.saturating_sub(select.from_unix_ms).max(0);
    if step_ms <= 0 || range / step_ms.max(1) > MAX_STEPS {
        return Err(StoreError::BadSelect(format!(
            "a range of {range} ms in steps of {step_ms} ms is more than {MAX_STEPS} steps"
        )));
    }
    Ok(usize::try_from(range / step_ms + i64::from(range % step_ms != 0)).unwrap_or(0))
}
