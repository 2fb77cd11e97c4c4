//! A profile's sum over time, by kind of code.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Api;
use super::error::ApiError;
use super::params::Params;
use crate::query::{by_kind, step_ms};
use crate::store::TimelineBy;

/// `GET /api/v1/profile/timeline`. Steps start at `from`, so the values add up to the tree's total.
pub(super) async fn timeline(
    State(api): State<Api>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let question = params.question()?;
    let points = params.number("points", 300_u32, 1..=2000)?;
    let step_ms = step_ms(question.range.length_ms(), points);
    let turn = api.turn().await?;
    let timeline = api.0.store.timeline(&question.select, step_ms, TimelineBy::Stack).await?;
    let symbols = api.0.store.symbols();
    let fold = move || {
        let _turn = turn;
        by_kind(&timeline, &symbols)
    };
    let series = api.compute(fold).await?;
    let series: Vec<Value> = series
        .iter()
        .map(|series| json!({ "name": series.kind.label(), "values": series.values }))
        .collect();
    Ok(Json(json!({
        "step_ms": step_ms, "start_ms": question.range.from_ms, "series": series,
        "unit": question.profile_type().map_or("", |of| &of.sample_unit),
        "from_ms": question.range.from_ms, "until_ms": question.range.until_ms,
    })))
}
