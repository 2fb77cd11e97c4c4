//! A profile's sum over time, by kind of code.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Api;
use super::error::ApiError;
use super::params::{Params, Question};
use super::profile::unread;
use crate::query::{KindSeries, by_kind, step_ms};
use crate::store::{Select, TimelineBy};

/// Steps asked of the store at once: each may hold a sum for every stack there is.
const STEPS_AT_ONCE: i64 = 32;

/// `GET /api/v1/profile/timeline`. Steps start at `from`, so the values add up to the tree's total.
pub(super) async fn timeline(
    State(api): State<Api>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let question = params.question(api.snapshot())?;
    let points = params.number("points", 300_u32, 1..=2000)?;
    let step_ms = step_ms(question.range.length_ms(), points, question.window_ms);
    let series = api.by_kind(&question, step_ms).await?;
    let series: Vec<Value> = series
        .iter()
        .map(|series| json!({ "name": series.kind.label(), "values": series.values }))
        .collect();
    Ok(Json(json!({
        "step_ms": step_ms, "start_ms": question.range.from_ms, "series": series,
        "unit": question.profile_type().map_or("", |of| &of.sample_unit),
        "from_ms": question.range.from_ms, "until_ms": question.range.until_ms,
        "unread": unread(&question.snapshot.unread(question.range.from_ms, question.range.until_ms)),
    })))
}

impl Api {
    async fn by_kind(
        &self,
        question: &Question,
        step_ms: i64,
    ) -> Result<Vec<KindSeries>, ApiError> {
        let _turn = self.turn().await?;
        let mut whole: Vec<KindSeries> = Vec::new();
        let mut from_ms = question.range.from_ms;
        while from_ms < question.range.until_ms {
            let until_ms = (from_ms + STEPS_AT_ONCE * step_ms).min(question.range.until_ms);
            let select = Select {
                from_unix_ms: from_ms,
                until_unix_ms: until_ms,
                ..question.select.clone()
            };
            let timeline = question.snapshot.timeline(&select, step_ms, &TimelineBy::Stack).await?;
            let symbols = question.snapshot.symbols();
            let part = self.compute(move || by_kind(&timeline, &symbols)).await?;
            if whole.is_empty() {
                whole = part;
            } else {
                for (series, part) in whole.iter_mut().zip(part) {
                    series.values.extend(part.values);
                }
            }
            from_ms = until_ms;
        }
        Ok(whole)
    }
}
