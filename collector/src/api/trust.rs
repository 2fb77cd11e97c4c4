//! How far the data of a range can be trusted, from what the agents say about themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Api;
use super::error::ApiError;
use super::labels::TRUST_PROFILE;
use super::params::{Params, now_ms};
use crate::profile::ProfileType;
use crate::query::{self, Count, TimeRange, Trust, names_of};
use crate::store::{Matcher, Select, Snapshot, StackId, SymbolsView, TimelineBy, TimelineGroup};

/// Agents push windows of this length, stamped with their start.
const WINDOW_MS: i64 = 10_000;
/// An agent that has not pushed for this long is called stale.
const STALE_MS: i64 = 30_000;
/// A range that ends this near to now is watched live.
const LIVE_MS: i64 = 60_000;

/// `GET /api/v1/trust`
pub(super) async fn trust(State(api): State<Api>, params: Params) -> Result<Json<Value>, ApiError> {
    let snapshot = api.snapshot();
    let (range, window_ms) = params.kept_range(&snapshot)?;
    let matchers = params.matchers()?;
    let (of_service, of_host): (Vec<_>, Vec<_>) = matchers
        .into_iter()
        .filter(|matcher| matches!(&*matcher.label, "service_name" | "host"))
        .partition(|matcher| &*matcher.label == "service_name");
    let _turn = api.turn().await?;
    let reports = Reports { snapshot, of_host, range, window_ms };
    let (events, costs) = (reports.stacks("events").await?, reports.stacks("cost").await?);
    let symbols = reports.snapshot.symbols();
    let accepts = |service: &str| of_service.iter().all(|matcher| matcher.test.accepts(service));
    let mut trust = query::trust(named(&events, &symbols), named(&costs, &symbols), accepts);
    let seen = reports.seen().await?;
    let unread = reports.snapshot.unread(range.from_ms, range.until_ms);
    trust.lost.extend(unread.iter().map(|file| Count {
        reason: format!("damaged file {}", file.file),
        count: i64::try_from(file.samples).unwrap_or(i64::MAX),
    }));
    Ok(Json(answer(&trust, &seen, range)))
}

fn named<'a>(
    stacks: &'a [(StackId, i64)],
    symbols: &'a SymbolsView,
) -> impl Iterator<Item = (Vec<&'a str>, i64)> {
    stacks.iter().map(|&(stack, value)| (names_of(stack, symbols), value))
}

/// The trust profiles of a range.
struct Reports {
    snapshot: Snapshot,
    of_host: Vec<Matcher>,
    range: TimeRange,
    window_ms: i64,
}

/// Which agents reported, and for how long in all.
struct Seen {
    /// Start of the last window by host, in milliseconds since 1970.
    last_ms: BTreeMap<Arc<str>, i64>,
    /// Time in which any agent reported.
    covered_ms: i64,
}

impl Reports {
    fn select(&self, profile_type: Option<ProfileType>, from_ms: i64) -> Select {
        Select {
            profile_type,
            matchers: self.of_host.clone(),
            from_unix_ms: from_ms,
            until_unix_ms: self.range.until_ms,
        }
    }

    /// Senders may spell the period's type as they like, so the types are looked up.
    async fn types(&self, sample_type: &str) -> Result<BTreeSet<ProfileType>, ApiError> {
        let series = self.snapshot.series(&self.select(None, self.range.from_ms)).await?;
        let types = series.into_iter().map(|(series, _)| series.profile_type.clone());
        Ok(types
            .filter(|of| &*of.name == TRUST_PROFILE && &*of.sample_type == sample_type)
            .collect())
    }

    async fn stacks(&self, sample_type: &str) -> Result<Vec<(StackId, i64)>, ApiError> {
        let mut stacks = Vec::new();
        for of in self.types(sample_type).await? {
            let select = self.select(Some(of), self.range.from_ms);
            stacks.extend(self.snapshot.merge(&select).await?.stacks);
        }
        Ok(stacks)
    }

    async fn seen(&self) -> Result<Seen, ApiError> {
        let mut seen = Seen { last_ms: BTreeMap::new(), covered_ms: 0 };
        let mut covered = BTreeSet::new();
        let coarse_ms = query::step_ms(self.range.length_ms(), 500, self.window_ms);
        // Coarse over the whole range, then to the second at its end, where staleness shows.
        let end_ms = (self.range.until_ms - 2 * LIVE_MS).max(self.range.from_ms);
        for of in self.types("events").await?.into_iter().chain(self.types("cost").await?) {
            for (from_ms, step_ms) in [(self.range.from_ms, coarse_ms), (end_ms, 1000)] {
                let select = self.select(Some(of.clone()), from_ms);
                let by = TimelineBy::Label("host".into());
                let timeline = self.snapshot.timeline(&select, step_ms, &by).await?;
                for point in timeline.points {
                    let TimelineGroup::Label(host) = point.group else { continue };
                    let at_ms = from_ms + i64::from(point.step) * step_ms;
                    let last = seen.last_ms.entry(host).or_insert(at_ms);
                    *last = (*last).max(at_ms);
                    if step_ms == coarse_ms {
                        covered.insert(point.step);
                    }
                }
            }
        }
        let steps = i64::try_from(covered.len()).unwrap_or(i64::MAX);
        seen.covered_ms = steps.saturating_mul(coarse_ms).min(self.range.length_ms());
        Ok(seen)
    }
}

fn answer(trust: &Trust, seen: &Seen, range: TimeRange) -> Value {
    let now_ms = now_ms();
    let live = range.until_ms >= now_ms - LIVE_MS;
    let hosts: Vec<Value> = seen
        .last_ms
        .iter()
        .map(|(host, &last_ms)| {
            let pushed_ms = last_ms + WINDOW_MS;
            let stale = live && now_ms - pushed_ms > STALE_MS;
            json!({ "host": host, "last_seen_ms": pushed_ms.min(now_ms), "stale": stale })
        })
        .collect();
    let (stacks, incomplete) = split(&trust.stacks, Trust::is_complete);
    let (frames, unknown) = split(&trust.frames, |reason| reason == "named");
    let complete = stacks - sum(&incomplete);
    json!({
        "stacks": { "total": stacks, "complete": complete, "by_reason": incomplete },
        "frames": { "total": frames, "unknown": sum(&unknown), "by_reason": unknown },
        "lost": { "total": sum(&trust.lost), "by_reason": trust.lost },
        "missed": { "total": sum(&trust.missed), "by_reason": trust.missed },
        "agents": { "seen": seen.last_ms.len(), "hosts": hosts },
        "cost": {
            "agent_cpu_ns": trust.cost.agent_cpu_ns, "bpf_cpu_ns": trust.cost.bpf_cpu_ns,
            "cores": cores(trust, seen.covered_ms),
        },
        "from_ms": range.from_ms, "until_ms": range.until_ms,
    })
}

/// The sum of all counts, and those whose reason is not a good one.
fn split(counts: &[Count], good: impl Fn(&str) -> bool) -> (i64, Vec<Count>) {
    let bad = counts.iter().filter(|count| !good(&count.reason)).cloned().collect();
    (sum(counts), bad)
}

fn sum(counts: &[Count]) -> i64 {
    counts.iter().map(|count| count.count).sum()
}

/// CPU time per time in which agents reported.
#[expect(clippy::cast_precision_loss, reason = "a share is shown with three digits")]
fn cores(trust: &Trust, covered_ms: i64) -> f64 {
    let spent_ns = trust.cost.agent_cpu_ns.saturating_add(trust.cost.bpf_cpu_ns);
    if covered_ms == 0 { 0.0 } else { spent_ns as f64 / (covered_ms as f64 * 1e6) }
}
