//! What there is to choose from: profile types, label names, label values.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::Api;
use super::error::ApiError;
use super::params::{Params, Question};
use crate::profile::ProfileType;
use crate::store::{Select, Series, Snapshot};

/// Name of the profiles in which agents say how far they can be trusted.
pub(super) const TRUST_PROFILE: &str = "sonde_trust";

impl Api {
    pub(super) async fn series(
        &self,
        snapshot: &Snapshot,
        select: &Select,
    ) -> Result<Vec<(Arc<Series>, i64)>, ApiError> {
        let _turn = self.turn().await?;
        Ok(snapshot.series(select).await?)
    }
}

/// `GET /api/v1/profile/types`
pub(super) async fn types(State(api): State<Api>, params: Params) -> Result<Json<Value>, ApiError> {
    let snapshot = api.snapshot();
    let (range, _) = params.kept_range(&snapshot)?;
    let all = params.text("all") == Some("1");
    let select = Select {
        profile_type: None,
        matchers: params.matchers()?,
        from_unix_ms: range.from_ms,
        until_unix_ms: range.until_ms,
    };
    let mut totals: BTreeMap<ProfileType, i64> = BTreeMap::new();
    for (series, total) in api.series(&snapshot, &select).await? {
        if all || &*series.profile_type.name != TRUST_PROFILE {
            *totals.entry(series.profile_type.clone()).or_default() += total;
        }
    }
    let types: Vec<Value> = totals.iter().map(|(of, total)| described(of, *total)).collect();
    Ok(Json(json!({ "types": types, "from_ms": range.from_ms, "until_ms": range.until_ms })))
}

fn described(of: &ProfileType, total: i64) -> Value {
    json!({
        "id": of.to_string(), "name": of.name,
        "sample_type": of.sample_type, "sample_unit": of.sample_unit,
        "period_type": of.period_type, "period_unit": of.period_unit, "total": total,
    })
}

/// `GET /api/v1/labels`
pub(super) async fn names(State(api): State<Api>, params: Params) -> Result<Json<Value>, ApiError> {
    let question = params.question(api.snapshot())?;
    let series = api.series(&question.snapshot, &question.select).await?;
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in series.iter().flat_map(|(series, _)| series.labels.0.iter()) {
        values.entry(name).or_default().insert(value);
    }
    let labels: Vec<Value> = values
        .iter()
        .map(|(name, values)| json!({ "name": name, "values": values.len() }))
        .collect();
    Ok(with_range(json!({ "labels": labels }), &question))
}

/// `GET /api/v1/labels/{name}/values`
pub(super) async fn values(
    State(api): State<Api>,
    Path(label): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let question = params.question(api.snapshot())?;
    let limit = params.number("limit", 200_usize, 1..=10_000)?;
    let mut totals: BTreeMap<Arc<str>, i64> = BTreeMap::new();
    for (series, total) in api.series(&question.snapshot, &question.select).await? {
        if let Some(value) = series.labels.get(&label) {
            *totals.entry(Arc::clone(value)).or_default() += total;
        }
    }
    let mut sorted: Vec<_> = totals.into_iter().collect();
    sorted.sort_by_key(|(_, total)| Reverse(*total));
    let truncated = sorted.len() > limit;
    let values: Vec<Value> = sorted
        .iter()
        .take(limit)
        .map(|(value, total)| json!({ "value": value, "total": total }))
        .collect();
    Ok(with_range(json!({ "values": values, "truncated": truncated }), &question))
}

fn with_range(mut answer: Value, question: &Question) -> Json<Value> {
    answer["from_ms"] = question.range.from_ms.into();
    answer["until_ms"] = question.range.until_ms.into();
    Json(answer)
}
