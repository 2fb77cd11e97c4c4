//! One accepted request on its way into the store: content hashes of everything it names.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::memtable::SampleRow;
use super::signal::Row;
use super::symbols::{Series, SeriesId};
use crate::metric::Point;
use crate::profile::{Frame, Labels, Location, Profile};
use crate::trace::Span;

/// What one request carried.
#[derive(Clone, Debug, Default)]
pub struct Push {
    /// Hash of the request's bytes and path; the same digest again is the same request again.
    pub digest: u128,
    /// Its profiles.
    pub profiles: Vec<Profile>,
    /// Its spans.
    pub spans: Vec<Span>,
    /// Its metric points.
    pub points: Vec<Point>,
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is stored and durable.
    Stored,
    /// It was stored before; nothing changed.
    Duplicate,
}

/// A push with every hash computed, so that the one committing thread has none of that work.
pub(super) struct Prepared {
    pub(super) digest: u128,
    pub(super) profiles: Vec<PreparedProfile>,
    pub(super) spans: Vec<Span>,
    pub(super) points: Vec<Point>,
}

/// A profile with content hashes beside its tables.
pub(super) struct PreparedProfile {
    pub(super) profile: Profile,
    /// As long as `profile.frames`.
    pub(super) functions: Vec<u64>,
    /// As long as `profile.locations`.
    pub(super) locations: Vec<u64>,
    /// As long as `profile.series`.
    pub(super) series: Vec<Arc<Series>>,
    /// Each (series, stack) once.
    pub(super) sums: Vec<Sum>,
}

/// The sum of one stack in one series of a profile.
pub(super) struct Sum {
    pub(super) stack: u64,
    /// Index into `PreparedProfile::series`.
    pub(super) series: u32,
    /// Index of a sample of `profile.samples` that has this stack.
    pub(super) sample: u32,
    pub(super) value: i64,
}

impl Prepared {
    pub(super) fn new(push: Push) -> Self {
        let profiles = push.profiles.into_iter().map(PreparedProfile::new).collect();
        Self { digest: push.digest, profiles, spans: push.spans, points: push.points }
    }

    /// About how many rows of samples it is as large as.
    pub(super) fn weight(&self) -> usize {
        let samples: usize = self.profiles.iter().map(|profile| profile.sums.len()).sum();
        samples + self.signal_bytes() / size_of::<SampleRow>()
    }

    /// About what its spans and points take in memory.
    pub(super) fn signal_bytes(&self) -> usize {
        let spans = self.spans.iter().map(Row::bytes).sum::<usize>();
        spans + self.points.iter().map(Row::bytes).sum::<usize>()
    }
}

impl PreparedProfile {
    fn new(profile: Profile) -> Self {
        let functions: Vec<u64> = profile.frames.iter().map(hash_function).collect();
        let locations: Vec<u64> =
            profile.locations.iter().map(|location| hash_location(location, &functions)).collect();
        let series =
            profile.series.iter().map(|labels| Arc::new(series(&profile, labels))).collect();
        let sums = sum_by_stack(&profile, &locations);
        Self { profile, functions, locations, series, sums }
    }
}

fn sum_by_stack(profile: &Profile, locations: &[u64]) -> Vec<Sum> {
    let mut sums: Vec<Sum> = Vec::with_capacity(profile.samples.len());
    let mut places: FxHashMap<(u32, u64), usize> = FxHashMap::default();
    for (sample, index) in profile.samples.iter().zip(0u32..) {
        let stack = hash_stack(&sample.stack, locations);
        let place = *places.entry((sample.series, stack)).or_insert(sums.len());
        match sums.get_mut(place) {
            Some(sum) => sum.value = sum.value.saturating_add(sample.value),
            None => {
                sums.push(Sum { stack, series: sample.series, sample: index, value: sample.value });
            }
        }
    }
    sums
}

/// Text ends with its length, so that ("ab", "c") and ("a", "bc") differ.
fn write_text(hasher: &mut Xxh3, text: &str) {
    hasher.update(text.as_bytes());
    hasher.update(&(text.len() as u64).to_le_bytes());
}

fn hash_function(frame: &Frame) -> u64 {
    let mut hasher = Xxh3::new();
    write_text(&mut hasher, &frame.name);
    write_text(&mut hasher, &frame.system_name);
    write_text(&mut hasher, &frame.file);
    hasher.digest()
}

fn hash_location(location: &Location, functions: &[u64]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&location.address.to_le_bytes());
    write_text(&mut hasher, &location.binary);
    write_text(&mut hasher, &location.build_id);
    for (&frame, &line) in location.frames.iter().zip(&location.lines) {
        hasher.update(&functions[frame as usize].to_le_bytes());
        hasher.update(&line.to_le_bytes());
    }
    hasher.digest()
}

fn hash_stack(stack: &[u32], locations: &[u64]) -> u64 {
    let mut bytes = Vec::with_capacity(stack.len() * 8);
    for &location in stack {
        bytes.extend_from_slice(&locations[location as usize].to_le_bytes());
    }
    xxh3_64(&bytes)
}

fn series(profile: &Profile, labels: &Labels) -> Series {
    let mut hasher = Xxh3::new();
    let kind = &profile.profile_type;
    for text in
        [&kind.name, &kind.sample_type, &kind.sample_unit, &kind.period_type, &kind.period_unit]
    {
        write_text(&mut hasher, text);
    }
    hasher.update(&profile.period.to_le_bytes());
    for (name, value) in labels.0.iter() {
        write_text(&mut hasher, name);
        write_text(&mut hasher, value);
    }
    Series {
        id: SeriesId(hasher.digest()),
        profile_type: kind.clone(),
        period: profile.period,
        labels: labels.clone(),
    }
}
