//! Questions to spans and points: which rows of memory and files pass. What is made of them is
//! `query`'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::prelude::{Expr, col, lit};
use datafusion::scalar::ScalarValue;
use rustc_hash::FxHashSet;

use super::error::StoreError;
use super::files::DataFile;
use super::grain::{HOUR_MS, floor};
use super::signal::Row;
use super::snapshot::Snapshot;
use super::symbols::Chunked;
use crate::metric::Point;
use crate::trace::{STATUS_ERROR, Span};

const MS_NS: i64 = 1_000_000;
/// Points of one hour that a question may hold in memory.
const MAX_POINTS: usize = 1 << 20;

/// Which spans are wanted; what is `None` passes any.
#[derive(Clone, Debug, Default)]
pub struct SpanFilter {
    /// Service of the resource.
    pub service: Option<String>,
    /// Name of the span.
    pub name: Option<String>,
    /// `http.route`.
    pub route: Option<String>,
    /// Whether it failed.
    pub failed: Option<bool>,
    /// At least this long.
    pub min_duration_ns: i64,
    /// At most this long.
    pub max_duration_ns: Option<i64>,
    /// Whether [`Span::details`] may be left out; reading them is most of the work.
    pub without_details: bool,
    /// Of one of these traces.
    pub trace_ids: Option<FxHashSet<u128>>,
    /// Started from here, inclusive, in milliseconds since 1970.
    pub from_unix_ms: i64,
    /// Started before, in milliseconds since 1970.
    pub until_unix_ms: i64,
}

/// Which points are wanted.
#[derive(Clone, Debug)]
pub struct PointFilter {
    /// Names of metrics.
    pub metrics: Vec<&'static str>,
    /// Service of the resource; `None` for any.
    pub service: Option<String>,
    /// From here, inclusive, in milliseconds since 1970.
    pub from_unix_ms: i64,
    /// Before, in milliseconds since 1970.
    pub until_unix_ms: i64,
}

impl SpanFilter {
    /// Whether a span is wanted.
    #[must_use]
    pub fn accepts(&self, span: &Span) -> bool {
        let is = |wanted: &Option<String>, text: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == text)
        };
        self.trace_ids.as_ref().is_none_or(|ids| ids.contains(&span.trace_id))
            && (self.first_ns()..self.end_ns()).contains(&span.start_unix_ns)
            && is(&self.service, &span.service)
            && is(&self.name, &span.name)
            && is(&self.route, &span.route)
            && self.failed.is_none_or(|failed| failed == span.failed())
            && span.duration_ns() >= self.min_duration_ns
            && self.max_duration_ns.is_none_or(|longest| span.duration_ns() <= longest)
    }

    fn first_ns(&self) -> i64 {
        self.from_unix_ms.saturating_mul(MS_NS)
    }

    fn end_ns(&self) -> i64 {
        self.until_unix_ms.saturating_mul(MS_NS)
    }

    /// What files can be asked for; every row is judged by [`SpanFilter::accepts`] too.
    fn condition(&self) -> Option<Expr> {
        let is = |name: &str, wanted: &Option<String>| {
            wanted.as_ref().map(|wanted| col(name).eq(lit(wanted.as_str())))
        };
        let ids = self.trace_ids.as_ref().map(|ids| {
            let id =
                |id: &u128| lit(ScalarValue::FixedSizeBinary(16, Some(id.to_be_bytes().to_vec())));
            col("trace_id").in_list(ids.iter().map(id).collect(), false)
        });
        let failed = self.failed.map(|failed| {
            let error = lit(STATUS_ERROR);
            if failed { col("status").eq(error) } else { col("status").not_eq(error) }
        });
        let long =
            (self.min_duration_ns > 0).then(|| col("duration").gt_eq(lit(self.min_duration_ns)));
        let short = self.max_duration_ns.map(|longest| col("duration").lt_eq(lit(longest)));
        [
            is("service", &self.service),
            Some(col("start").gt_eq(lit(self.first_ns()))),
            Some(col("start").lt(lit(self.end_ns()))),
            is("name", &self.name),
            is("route", &self.route),
            failed,
            long,
            short,
            ids,
        ]
        .into_iter()
        .flatten()
        .reduce(Expr::and)
    }
}

impl PointFilter {
    fn accepts(&self, point: &Point) -> bool {
        let series = &point.series;
        (self.from_unix_ms..self.until_unix_ms).contains(&point.unix_ms())
            && self.metrics.contains(&&*series.metric)
            && self.service.as_ref().is_none_or(|service| **service == *series.service)
    }

    fn condition(&self) -> Option<Expr> {
        let names = self.metrics.iter().map(|name| lit(*name)).collect();
        let service = self.service.as_ref().map(|name| col("service").eq(lit(name.as_str())));
        let ns = |ms: i64| lit(ms.saturating_mul(MS_NS));
        let all = col("metric")
            .in_list(names, false)
            .and(col("time").gt_eq(ns(self.from_unix_ms)))
            .and(col("time").lt(ns(self.until_unix_ms)));
        Some(service.into_iter().fold(all, Expr::and))
    }
}

impl Snapshot {
    /// Passes the spans that the filter accepts to `visit`: those in memory first, then an hour's
    /// files at a time, the newest first, until `visit` says at the end of an hour that it has
    /// enough. Spans of given traces come all at once. Returns how many spans were looked at.
    ///
    /// # Errors
    /// The query failed or needed more memory than it may take.
    pub async fn spans(
        &self,
        filter: &SpanFilter,
        mut visit: impl FnMut(Visited<Span>) -> bool,
    ) -> Result<u64, StoreError> {
        let mut scanned = 0;
        for span in self.spans.iter().flat_map(Chunked::iter) {
            scanned += 1;
            if filter.accepts(span) {
                visit(Visited::Row(span.clone()));
            }
        }
        let hours = by_hour(&self.span_files, filter.from_unix_ms, filter.until_unix_ms);
        let groups: Vec<Vec<Arc<DataFile>>> = match filter.trace_ids {
            Some(_) => vec![hours.into_values().flatten().collect()],
            None => hours.into_values().rev().collect(),
        };
        for files in groups {
            if visit(Visited::End) {
                break;
            }
            scanned += files.iter().map(|file| file.entry.rows).sum::<u64>();
            let omit = if filter.without_details { &["details"][..] } else { &[] };
            let read = self.engine.rows::<Span>(&files, filter.condition(), omit, |span| {
                if filter.accepts(&span) {
                    visit(Visited::Row(span));
                }
            });
            read.await?;
        }
        Ok(scanned)
    }

    /// Passes the points that the filter accepts to `visit`, an hour at a time from the first to
    /// the last, each hour's in the order of series and time.
    ///
    /// # Errors
    /// More points in one hour than a question may hold, or as [`Snapshot::spans`].
    pub async fn points(
        &self,
        filter: &PointFilter,
        mut visit: impl FnMut(&Point),
    ) -> Result<(), StoreError> {
        let mut files = by_hour(&self.metric_files, filter.from_unix_ms, filter.until_unix_ms);
        let mut memory: BTreeMap<i64, Vec<Point>> = BTreeMap::new();
        for point in self.points.iter().flat_map(Chunked::iter) {
            if filter.accepts(point) {
                memory.entry(floor(point.unix_ms(), HOUR_MS)).or_default().push(point.clone());
            }
        }
        let hours: Vec<i64> = files.keys().chain(memory.keys()).copied().collect();
        for hour in std::collections::BTreeSet::from_iter(hours) {
            let mut points = memory.remove(&hour).unwrap_or_default();
            let mut too_many = points.len() > MAX_POINTS;
            let files = files.remove(&hour).unwrap_or_default();
            let read = self.engine.rows::<Point>(&files, filter.condition(), &[], |point| {
                too_many |= points.len() >= MAX_POINTS;
                if !too_many && filter.accepts(&point) {
                    points.push(point);
                }
            });
            read.await?;
            if too_many {
                return Err(StoreError::BadSelect(format!(
                    "more than {MAX_POINTS} metric points in one hour: ask for one service"
                )));
            }
            points.sort_unstable_by(Row::order);
            points.iter().for_each(&mut visit);
        }
        Ok(())
    }
}

/// What a visitor is given: a row, or the end of a part, where it may stop.
pub enum Visited<R> {
    /// A row that passes.
    Row(R),
    /// Everything that follows is older.
    End,
}

/// Files that may have rows of a range, by the hour that they are of.
fn by_hour(
    files: &[Arc<DataFile>],
    from_ms: i64,
    until_ms: i64,
) -> BTreeMap<i64, Vec<Arc<DataFile>>> {
    let mut hours: BTreeMap<i64, Vec<Arc<DataFile>>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.entry.overlaps(from_ms, until_ms)) {
        hours.entry(floor(file.entry.from_unix_ms, HOUR_MS)).or_default().push(Arc::clone(file));
    }
    hours
}
