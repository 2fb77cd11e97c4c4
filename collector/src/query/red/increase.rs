//! What was added from point to point of each series, whatever its temporality, and through resets.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::buckets::Reading;
use crate::metric::{DELTA, MetricSeries, Point};

/// Where nobody knows since when something was counted, it is taken to be this long.
const ASSUMED_MS: i64 = 10_000;

/// What was added to a series.
pub struct Added<'a> {
    /// The series.
    pub series: &'a Arc<MetricSeries>,
    /// Since when, in milliseconds since 1970.
    pub from_ms: i64,
    /// Until when.
    pub until_ms: i64,
    /// How much.
    pub reading: Reading,
}

struct Last {
    series: Arc<MetricSeries>,
    unix_ns: i64,
    start_unix_ns: i64,
    reading: Reading,
    /// The first point, if it cannot be told yet how much of it is new.
    undecided: Option<(i64, Reading)>,
}

/// Series of cumulative points. Points of one series have to come in the order of their time.
pub struct Increases {
    /// Points from here on were asked for; what began before may be missing.
    from_unix_ms: i64,
    last: FxHashMap<u64, Last>,
    /// First time that a sender sent points of a metric.
    senders: FxHashMap<(Arc<str>, Arc<[u8]>), i64>,
}

impl Increases {
    /// Of points from a time on.
    #[must_use]
    pub fn new(from_unix_ms: i64) -> Self {
        Self { from_unix_ms, last: FxHashMap::default(), senders: FxHashMap::default() }
    }

    /// Passes what a point adds to `visit`.
    pub fn add(&mut self, point: &Point, mut visit: impl FnMut(Added<'_>)) {
        let Some(reading) = Reading::of(point) else { return };
        let series = &point.series;
        let (from_ms, until_ms) = (point.start_unix_ns / 1_000_000, point.unix_ns / 1_000_000);
        if series.temporality == DELTA {
            let from_ms = if from_ms > 0 { from_ms } else { until_ms - ASSUMED_MS };
            visit(Added { series, from_ms, until_ms, reading });
            return;
        }
        let Some(last) = self.last.get_mut(&series.id) else {
            self.first(point, reading, visit);
            return;
        };
        if point.unix_ns <= last.unix_ns {
            return;
        }
        let began_anew =
            point.start_unix_ns > last.start_unix_ns && point.start_unix_ns >= last.unix_ns;
        let since = if began_anew { None } else { reading.since(&last.reading) };
        let last_ms = last.unix_ns / 1_000_000;
        let added = since.unwrap_or_else(|| reading.clone());
        (last.unix_ns, last.start_unix_ns) = (point.unix_ns, point.start_unix_ns);
        last.reading = reading;
        visit(Added { series, from_ms: last_ms, until_ms, reading: added });
    }

    fn first(&mut self, point: &Point, reading: Reading, mut visit: impl FnMut(Added<'_>)) {
        let series = &point.series;
        let sender = (Arc::clone(&series.metric), Arc::clone(&series.resource));
        let first = self.senders.entry(sender).or_insert(point.unix_ns);
        *first = (*first).min(point.unix_ns);
        let from_ms = point.start_unix_ns / 1_000_000;
        let all_is_here = point.start_unix_ns > 0 && from_ms >= self.from_unix_ms;
        let undecided = if all_is_here {
            let until_ms = point.unix_ns / 1_000_000;
            visit(Added { series, from_ms, until_ms, reading: reading.clone() });
            None
        } else {
            Some((point.unix_ns, reading.clone()))
        };
        let last = Last {
            series: Arc::clone(series),
            unix_ns: point.unix_ns,
            start_unix_ns: point.start_unix_ns,
            reading,
            undecided,
        };
        self.last.insert(series.id, last);
    }

    /// The rest: a series whose sender sent others of the metric before, but not this one, began
    /// with its first point. Of one that was there all the time, the first point is only where
    /// counting starts.
    pub fn finish(self, mut visit: impl FnMut(Added<'_>)) {
        for last in self.last.into_values() {
            let Some((unix_ns, reading)) = last.undecided else { continue };
            let sender = (Arc::clone(&last.series.metric), Arc::clone(&last.series.resource));
            if self.senders.get(&sender).is_some_and(|first| *first < unix_ns) {
                let until_ms = unix_ns / 1_000_000;
                let from_ms = until_ms - ASSUMED_MS;
                visit(Added { series: &last.series, from_ms, until_ms, reading });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::metrics::v1::{NumberDataPoint, number_data_point::Value};
    use prost::Message;

    use super::*;
    use crate::metric::PointKind;

    fn point(series: u64, temporality: u8, start_ms: i64, ms: i64, value: i64) -> Point {
        let of = MetricSeries {
            id: series,
            kind: PointKind::Sum,
            temporality,
            monotonic: true,
            ..MetricSeries::default()
        };
        let data = NumberDataPoint { value: Some(Value::AsInt(value)), ..Default::default() };
        Point {
            series: Arc::new(of),
            start_unix_ns: start_ms * 1_000_000,
            unix_ns: ms * 1_000_000,
            data: data.encode_to_vec().into(),
        }
    }

    /// What points add up to, from 1000 ms on.
    fn total(points: &[Point]) -> f64 {
        let mut increases = Increases::new(1000);
        let mut sum = 0.0;
        points.iter().for_each(|one| increases.add(one, |added| sum += added.reading.count()));
        increases.finish(|added| sum += added.reading.count());
        sum
    }

    #[test]
    fn a_cumulative_series_adds_what_it_grew_by() {
        let points = [(1500, 100), (2500, 130), (3500, 130), (4500, 131)];
        let points = points.map(|(ms, value)| point(1, 2, 500, ms, value));
        assert_eq!(total(&points), 31.0, "the first point is only where counting starts");
        assert_eq!(total(&points[..1]), 0.0);
    }

    #[test]
    fn a_series_that_began_in_the_range_counts_from_its_start() {
        assert_eq!(total(&[point(1, 2, 1200, 2000, 7), point(1, 2, 1200, 3000, 9)]), 9.0);
    }

    #[test]
    fn resets_are_seen_by_the_start_and_by_a_drop() {
        let restarted = [
            point(1, 2, 500, 1500, 100),
            point(1, 2, 500, 2500, 105),
            point(1, 2, 2600, 3500, 300),
        ];
        assert_eq!(total(&restarted), 305.0, "a new start, though the count is higher");
        let dropped = [point(1, 2, 0, 1500, 100), point(1, 2, 0, 2500, 4), point(1, 2, 0, 3500, 6)];
        assert_eq!(total(&dropped), 6.0);
    }

    #[test]
    fn deltas_are_added_as_they_are() {
        assert_eq!(total(&[point(1, 1, 1000, 2000, 5), point(1, 1, 2000, 3000, 6)]), 11.0);
    }

    #[test]
    fn a_series_that_appears_while_others_of_its_sender_were_there_is_new() {
        let old = [point(1, 2, 500, 1500, 100), point(1, 2, 500, 2500, 101)];
        let new = [point(2, 2, 500, 2500, 3), point(2, 2, 500, 3500, 5)];
        let all: Vec<Point> = old.into_iter().chain(new).collect();
        assert_eq!(total(&all), 1.0 + 5.0);
    }

    #[test]
    fn a_point_sent_twice_counts_once() {
        let points =
            [point(1, 2, 500, 1500, 1), point(1, 2, 500, 2500, 4), point(1, 2, 500, 2500, 4)];
        assert_eq!(total(&points), 3.0);
    }
}
