//! What was added to series of requests in a range, read from the store.

use rustc_hash::FxHashMap;

use super::error::ApiError;
use crate::query::{Added, Increases, RequestLabels, TimeRange};
use crate::store::{PointFilter, Snapshot};

/// Durations of requests that a service answered.
pub(super) const SERVER_DURATION: &str = "http.server.request.duration";
/// Durations of requests that a service made.
pub(super) const CLIENT_DURATION: &str = "http.client.request.duration";

/// Points are looked for this long before the range: what was added up to the first point in it
/// counts from the last one before. Longer than any usual interval of sending.
const BEFORE_MS: i64 = 5 * 60_000;

/// Passes what was added to series of some metrics in a range to `visit`, with what the series'
/// attributes say: all that was counted by a point of the range, also where counting began before.
pub(super) async fn each(
    snapshot: &Snapshot,
    range: TimeRange,
    metrics: Vec<&'static str>,
    service: Option<String>,
    mut visit: impl FnMut(&Added<'_>, &RequestLabels),
) -> Result<(), ApiError> {
    let from_unix_ms = range.from_ms.saturating_sub(BEFORE_MS);
    let filter = PointFilter { metrics, service, from_unix_ms, until_unix_ms: range.until_ms };
    let mut known: FxHashMap<u64, RequestLabels> = FxHashMap::default();
    let mut take = |added: Added<'_>| {
        if added.until_ms < range.from_ms || added.reading.count() <= 0.0 {
            return;
        }
        let labels =
            known.entry(added.series.id).or_insert_with(|| RequestLabels::of(added.series));
        visit(&added, labels);
    };
    let mut increases = Increases::new(from_unix_ms);
    snapshot.points(&filter, |point| increases.add(point, &mut take)).await?;
    increases.finish(take);
    Ok(())
}
