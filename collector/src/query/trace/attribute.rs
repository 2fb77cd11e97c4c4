//! OTLP's attributes, out of a stored row: as text to compare with, as JSON to show.

use base64::Engine;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::HistogramDataPoint;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span as OtlpSpan};
use prost::Message;
use serde::Serialize;
use serde_json::Value;

use crate::metric::MetricSeries;
use crate::trace::Span;

/// Larger integers are text in JSON: the readers of JSON would round them.
const EXACT: u64 = 1 << 53;

/// One attribute as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attribute {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Value,
}

/// Attributes as they are shown.
pub(super) fn shown(attributes: Vec<KeyValue>) -> Vec<Attribute> {
    let one = |one: KeyValue| Attribute { value: to_json(one.value.as_ref()), key: one.key };
    attributes.into_iter().map(one).collect()
}

/// What a span has beside its columns.
pub(super) fn details_of(span: &Span) -> OtlpSpan {
    OtlpSpan::decode(&span.details[..]).unwrap_or_default()
}

/// A resource's attributes, of spans or metrics: both are written alike.
#[must_use]
pub fn resource_attributes(resource: &[u8]) -> Vec<KeyValue> {
    let message = ResourceSpans::decode(resource).unwrap_or_default();
    message.resource.map(|resource| resource.attributes).unwrap_or_default()
}

/// A series' attributes.
#[must_use]
pub fn attributes_of(series: &MetricSeries) -> Vec<KeyValue> {
    HistogramDataPoint::decode(&series.attributes[..]).unwrap_or_default().attributes
}

/// A value as text.
#[must_use]
pub fn to_text(value: Option<&AnyValue>) -> String {
    match to_json(value) {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A value as JSON; bytes in base64.
#[must_use]
pub fn to_json(value: Option<&AnyValue>) -> Value {
    let Some(value) = value.and_then(|value| value.value.as_ref()) else { return Value::Null };
    match value {
        any_value::Value::StringValue(text) => Value::String(text.clone()),
        any_value::Value::BoolValue(yes) => Value::Bool(*yes),
        any_value::Value::IntValue(number) if number.unsigned_abs() > EXACT => {
            Value::String(number.to_string())
        }
        any_value::Value::IntValue(number) => (*number).into(),
        any_value::Value::DoubleValue(number) => serde_json::Number::from_f64(*number)
            .map_or_else(|| Value::String(number.to_string()), Value::Number),
        any_value::Value::BytesValue(bytes) => {
            Value::String(base64::engine::general_purpose::STANDARD.encode(bytes))
        }
        any_value::Value::ArrayValue(list) => {
            list.values.iter().map(|value| to_json(Some(value))).collect()
        }
        any_value::Value::KvlistValue(list) => {
            let pair = |one: &KeyValue| (one.key.clone(), to_json(one.value.as_ref()));
            Value::Object(list.values.iter().map(pair).collect())
        }
        _ => Value::Null,
    }
}
