//! The one thread that writes: it takes all pushes that wait, logs them with one fsync, and only
//! then shows them to readers and acknowledges them.

use std::sync::Arc;
use std::time::Instant;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::{mpsc, oneshot};

use super::collect::{Collected, Named};
use super::error::StoreError;
use super::files;
use super::live::{Live, Sealed, Shared};
use super::memtable::{Memtable, SampleRow};
use super::new_rows::{new_symbols, sample_rows};
use super::push::{Appended, Prepared};
use super::recent::RecentPushes;
use super::signal::Row;
use super::symbols::{Dictionary, SymbolRows};
use super::tables::PushRow;
use super::wal::{Record, WalWriter};
use crate::metric::MetricSeries;

/// Samples of one group commit, or as much of other rows: bounds the record's size and how long the first push waits.
const GROUP_SAMPLES: usize = 200_000;
/// So many segments waiting for the disk, and new pushes are refused: each holds
/// `StoreSettings::flush_bytes` of memory, and writing one takes as much again.
const MAX_SEALED: usize = 2;

type Answer = oneshot::Sender<Result<Appended, StoreError>>;

/// What the thread is asked to do.
pub(super) enum Command {
    /// Store a push; `received_unix_ms` is when it came.
    Append { push: Prepared, received_unix_ms: i64, answer: Answer },
    /// Seal the segment if it is old enough.
    Tick,
    /// Seal the segment, whatever its age, and say so.
    Seal { done: oneshot::Sender<Result<(), StoreError>> },
    /// Note from now on what pushes name.
    BeginCollection { done: oneshot::Sender<()> },
    /// Know only these symbols, and what was noted.
    Adopt { collected: Box<Collected>, done: oneshot::Sender<Result<(), StoreError>> },
}

/// State of the committing thread.
pub(super) struct Committer {
    pub(super) shared: Arc<Shared>,
    pub(super) dictionary: Dictionary,
    pub(super) recent: RecentPushes,
    pub(super) wal: WalWriter,
    pub(super) segment: u64,
    pub(super) flush_wanted: Arc<tokio::sync::Notify>,
    pub(super) pending: Pending,
    /// What pushes named since symbols began to be collected.
    pub(super) noted: Option<Named>,
}

/// What the active segment has beside its samples.
#[derive(Default)]
pub(super) struct Pending {
    symbols: SymbolRows,
    pushes: Vec<PushRow>,
    first_row: Option<Instant>,
    /// About what spans and points take in memory.
    signal_bytes: usize,
    /// Series of the points, so that each is in memory once.
    metric_series: FxHashMap<u64, Arc<MetricSeries>>,
}

struct Waiting {
    push: Prepared,
    received_unix_ms: i64,
    answer: Answer,
}

impl Committer {
    /// Works until every sender is gone.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(first) = commands.blocking_recv() {
            let mut waiting = Vec::new();
            let mut other = self.sort_in(first, &mut waiting);
            let mut weight = waiting.last().map_or(0, |first| first.push.weight());
            while other.is_none() && weight < GROUP_SAMPLES {
                let Ok(next) = commands.try_recv() else { break };
                other = self.sort_in(next, &mut waiting);
                weight += waiting.last().map_or(0, |last| last.push.weight());
            }
            if !waiting.is_empty() {
                self.commit(waiting);
            }
            match other {
                Some(Command::Seal { done }) => drop(done.send(self.seal())),
                Some(Command::BeginCollection { done }) => {
                    self.noted = Some(Named::default());
                    let _gone = done.send(());
                }
                Some(Command::Adopt { collected, done }) => {
                    drop(done.send(self.adopt(*collected)));
                }
                _ => self.seal_if_due(),
            }
        }
    }

    /// Pushes join the group; anything else ends it and is returned.
    fn sort_in(&self, command: Command, waiting: &mut Vec<Waiting>) -> Option<Command> {
        match command {
            Command::Append { push, received_unix_ms, answer } => {
                waiting.push(Waiting { push, received_unix_ms, answer });
                None
            }
            other => Some(other),
        }
    }

    fn commit(&mut self, waiting: Vec<Waiting>) {
        let segments = self.shared.live().sealed.len();
        let result = if segments >= MAX_SEALED {
            Err(StoreError::Busy { segments })
        } else {
            self.log_and_show(&waiting)
        };
        match result {
            Ok(outcomes) => {
                for (waiting, outcome) in waiting.into_iter().zip(outcomes) {
                    // A sender that hung up will ask again and learn that it is a duplicate.
                    drop(waiting.answer.send(Ok(outcome)));
                }
            }
            Err(error) => {
                self.shared.metrics.wal_failures.inc_by(waiting.len() as u64);
                for waiting in waiting {
                    drop(waiting.answer.send(Err(error.again())));
                }
            }
        }
    }

    fn log_and_show(&mut self, waiting: &[Waiting]) -> Result<Vec<Appended>, StoreError> {
        let mut outcomes = Vec::with_capacity(waiting.len());
        let mut group: FxHashSet<u128> = FxHashSet::default();
        let mut record = Record::default();
        {
            let live = self.shared.live();
            for Waiting { push, received_unix_ms, .. } in waiting {
                if self.recent.knows(push.digest) || !group.insert(push.digest) {
                    outcomes.push(Appended::Duplicate);
                    continue;
                }
                outcomes.push(Appended::Stored);
                let before = record.samples.len();
                for profile in &push.profiles {
                    new_symbols(&self.dictionary, &live.symbols, profile, &mut record.symbols);
                    record.samples.extend(sample_rows(profile));
                }
                record.spans.extend(push.spans.iter().cloned());
                record.points.extend(push.points.iter().cloned());
                let count = |rows: usize| u32::try_from(rows).unwrap_or(u32::MAX);
                record.pushes.push(PushRow {
                    digest: push.digest,
                    received_unix_ms: *received_unix_ms,
                    samples: count(record.samples.len() - before),
                    spans: count(push.spans.len()),
                    points: count(push.points.len()),
                });
            }
        }
        if !record.pushes.is_empty() {
            let before = self.wal.len();
            self.wal.append(&record)?;
            self.shared.metrics.wal_syncs.inc();
            self.shared.metrics.wal_bytes.inc_by(self.wal.len() - before);
            self.show(record);
        }
        Ok(outcomes)
    }

    fn adopt(&mut self, collected: Collected) -> Result<(), StoreError> {
        let noted = self.noted.take().unwrap_or_default();
        self.dictionary = collected.adopt(&self.shared, &noted)?;
        Ok(())
    }

    fn show(&mut self, record: Record) {
        if let Some(noted) = &mut self.noted {
            noted.stacks.extend(record.samples.iter().map(|row| row.stack));
            noted.series.extend(record.samples.iter().map(|row| row.series));
        }
        let mut guard = self.shared.live_mut();
        let live = &mut *guard;
        self.dictionary.take_in(&mut live.symbols, &record.symbols);
        record.samples.iter().for_each(|row| live.active.push(*row));
        for span in record.spans {
            self.pending.signal_bytes += span.bytes();
            live.spans.push(span);
        }
        for mut point in record.points {
            self.pending.signal_bytes += point.bytes();
            point.series = Arc::clone(
                self.pending.metric_series.entry(point.series.id).or_insert(point.series),
            );
            live.points.push(point);
        }
        let Live { changes, symbols, .. } = live;
        changes.came(&record.samples, symbols);
        drop(guard);
        record.pushes.iter().for_each(|push| self.recent.remember(*push));
        self.pending.symbols.append(record.symbols);
        self.pending.pushes.extend(record.pushes);
        self.pending.first_row.get_or_insert_with(Instant::now);
    }

    fn seal_if_due(&mut self) {
        let settings = &self.shared.settings;
        let samples = self.shared.live().active.len() * size_of::<SampleRow>();
        let bytes = (samples + self.pending.signal_bytes) as u64;
        let old =
            self.pending.first_row.is_some_and(|first| first.elapsed() >= settings.flush_interval);
        if (old || bytes >= settings.flush_bytes)
            && let Err(error) = self.seal()
        {
            tracing::warn!(%error, "the log goes on in its old segment");
        }
    }

    /// Ends the segment: its rows wait for the disk, and a new log begins.
    fn seal(&mut self) -> Result<(), StoreError> {
        if self.pending.pushes.is_empty() {
            return Ok(());
        }
        let path = files::wal_path(&self.shared.settings.data_dir, self.segment + 1);
        let next = WalWriter::create(path)?;
        let old = std::mem::replace(&mut self.wal, next);
        let pending = std::mem::take(&mut self.pending);
        let mut live = self.shared.live_mut();
        let samples: Memtable = std::mem::take(&mut live.active);
        let (spans, points) = (std::mem::take(&mut live.spans), std::mem::take(&mut live.points));
        live.sealed.push(Arc::new(Sealed {
            segment: self.segment,
            samples,
            spans,
            points,
            symbols: pending.symbols,
            pushes: pending.pushes,
            wal: old.path().to_owned(),
        }));
        let waiting = i64::try_from(live.sealed.len()).unwrap_or(i64::MAX);
        self.shared.metrics.sealed_segments.set(waiting);
        drop(live);
        self.segment += 1;
        self.flush_wanted.notify_one();
        Ok(())
    }
}
