//! Which sample files are to be merged, and how coarsely: decided from their entries and the time,
//! without I/O.
//!
//! ```text
//! age     now ────── minute_after ────────── hour_after ──────── retention
//! grain      as sent          sums by minute           sums by hour
//! file       of an hour       of an hour               of a day
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use super::grain::{Grain, HOUR_MS, floor};
use super::manifest::FileEntry;
use super::settings::StoreSettings;

/// An hour is merged for good when it has been over for this long: senders are late sometimes.
const LATE_MS: i64 = 10 * 60 * 1000;
/// So many files of a time that is not over are merged early, for queries' sake.
const MANY_FILES: usize = 12;
/// Files that one merge reads at once; each holds some pages in memory.
const MERGE_FILES: usize = 48;
/// A large file is merged with newcomers once they have this share of its rows, so that a few late
/// samples do not rewrite a day each time.
const WORTH: u64 = 8;

/// Files to be replaced by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) entries: Vec<FileEntry>,
    pub(super) grain: Grain,
    /// Start of the time that the new file covers.
    pub(super) from_unix_ms: i64,
}

/// When samples become coarser.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ages {
    minute_ms: i64,
    hour_ms: i64,
}

impl Ages {
    pub(super) fn of(settings: &StoreSettings) -> Self {
        let ms = |age: Duration| i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        Self { minute_ms: ms(settings.minute_after), hour_ms: ms(settings.hour_after) }
    }

    /// For rows that cannot be added up: files of an hour are merged, and that is all.
    pub(super) fn never() -> Self {
        Self { minute_ms: i64::MAX, hour_ms: i64::MAX }
    }

    /// Ages at which data decays early when it takes too much room.
    pub(super) fn in_need(self) -> Self {
        Self { minute_ms: self.minute_ms / 4, hour_ms: self.minute_ms / 4 }
    }

    /// The grain that a file's samples should have: whole files' times must be over.
    fn grain(self, entry: &FileEntry, now_unix_ms: i64) -> Grain {
        let old = |grain: Grain, age_ms: i64| {
            let end = floor(entry.from_unix_ms, grain.file_ms()).saturating_add(grain.file_ms());
            end.saturating_add(age_ms) <= now_unix_ms
        };
        let due = if old(Grain::Hour, self.hour_ms) {
            Grain::Hour
        } else if old(Grain::Minute, self.minute_ms) {
            Grain::Minute
        } else {
            Grain::AsSent
        };
        due.max(entry.grain)
    }
}

/// All merges that are due, oldest time first.
pub(super) fn jobs(entries: &[FileEntry], ages: Ages, now_unix_ms: i64) -> Vec<Job> {
    let mut groups: BTreeMap<(i64, Grain), Vec<&FileEntry>> = BTreeMap::new();
    for entry in entries {
        let grain = ages.grain(entry, now_unix_ms);
        let from_unix_ms = floor(entry.from_unix_ms, grain.file_ms());
        groups.entry((from_unix_ms, grain)).or_default().push(entry);
    }
    let job = |((from_unix_ms, grain), group): ((i64, Grain), Vec<&FileEntry>)| {
        let entries = due(group, grain, from_unix_ms, now_unix_ms);
        (!entries.is_empty()).then_some(Job { entries, grain, from_unix_ms })
    };
    groups.into_iter().filter_map(job).collect()
}

/// Those of a group that should become one file.
fn due(
    mut group: Vec<&FileEntry>,
    grain: Grain,
    from_unix_ms: i64,
    now_unix_ms: i64,
) -> Vec<FileEntry> {
    let finer = group.iter().any(|entry| entry.grain < grain);
    let over = from_unix_ms.saturating_add(grain.file_ms().max(HOUR_MS) + LATE_MS) <= now_unix_ms;
    if !finer && group.len() < if over { 2 } else { MANY_FILES } {
        return Vec::new();
    }
    group.sort_by_key(|entry| (entry.grain, entry.rows));
    group.truncate(MERGE_FILES);
    if let Some(large) = group.iter().map(|entry| entry.rows).max()
        && group.len() < MANY_FILES
    {
        let rest: u64 = group.iter().map(|entry| entry.rows).sum::<u64>() - large;
        let is_large = |entry: &&FileEntry| entry.rows == large && entry.grain == grain;
        if rest < large / WORTH {
            group.retain(|entry| !is_large(entry));
        }
    }
    // What is left may be one file of the right grain, which is as it should be.
    let alone = group.len() == 1 && group[0].grain == grain;
    if alone { Vec::new() } else { group.into_iter().cloned().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = HOUR_MS;

    fn entry(file: &str, hour: i64, rows: u64, grain: Grain) -> FileEntry {
        let from_unix_ms = hour * HOUR;
        let until_unix_ms = from_unix_ms + grain.file_ms();
        let file = file.to_owned();
        FileEntry { file, bytes: rows, rows, from_unix_ms, until_unix_ms, grain, crc32: None }
    }

    /// What would be merged at the start of an hour, as "grain: files".
    fn planned(entries: &[FileEntry], now_hour: i64) -> Vec<String> {
        let ages = Ages::of(&StoreSettings::default());
        let text = |job: Job| {
            let files: Vec<&str> = job.entries.iter().map(|entry| entry.file.as_str()).collect();
            format!("{:?}: {}", job.grain, files.join(" "))
        };
        jobs(entries, ages, now_hour * HOUR).into_iter().map(text).collect()
    }

    #[test]
    fn files_of_an_hour_are_merged_when_it_is_over() {
        let files = [entry("a", 5, 10, Grain::AsSent), entry("b", 5, 10, Grain::AsSent)];
        assert_eq!(planned(&files, 6), [""; 0]);
        assert_eq!(planned(&files, 7), ["AsSent: a b"]);
    }

    #[test]
    fn files_decay_by_age_and_days_are_whole() {
        let hour = |n: i64| entry(&n.to_string(), n, 10, Grain::AsSent);
        assert_eq!(planned(&[hour(5)], 29), [""; 0]);
        assert_eq!(planned(&[hour(5), hour(6)], 30), ["Minute: 5"]);
        let minute = |n: i64| FileEntry { grain: Grain::Minute, ..hour(n) };
        assert_eq!(planned(&[minute(0), minute(23)], 95), [""; 0]);
        assert_eq!(planned(&[minute(0), minute(23), minute(24)], 96), ["Hour: 0 23"]);
    }

    #[test]
    fn a_few_late_samples_do_not_rewrite_a_large_file() {
        let large = entry("large", 0, 8000, Grain::Hour);
        let late = |n: i64, rows| entry(&format!("late{n}"), n, rows, Grain::AsSent);
        assert_eq!(planned(&[large.clone(), late(3, 10)], 200), ["Hour: late3"]);
        let small = FileEntry { grain: Grain::Hour, ..late(3, 10) };
        assert_eq!(planned(&[large.clone(), small], 200), [""; 0]);
        assert_eq!(planned(&[large, late(3, 2000)], 200), ["Hour: late3 large"]);
    }
}
