//! What is looked for among OTLP's attributes.

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// What the specification calls a service that does not say its name.
const UNKNOWN: &str = "unknown_service";

/// The text of an attribute; `None` if it is missing or no text.
pub(super) fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// The service of a resource.
pub(super) fn service(resource: Option<&Resource>) -> &str {
    let name = resource.and_then(|resource| text(&resource.attributes, "service.name"));
    name.filter(|name| !name.is_empty()).unwrap_or(UNKNOWN)
}
