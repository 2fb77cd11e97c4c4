//! What the attributes of a series say about its requests.

use opentelemetry_proto::tonic::common::v1::KeyValue;

use crate::metric::MetricSeries;
use crate::query::trace::{attributes_of, resource_attributes, to_text};

/// The attributes of a series of requests; empty where there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestLabels {
    /// `http.request.method`
    pub method: String,
    /// `http.route`
    pub route: String,
    /// `http.response.status_code`, or `error.type` where there was no answer.
    pub status: String,
    /// Whether these requests failed.
    pub failed: bool,
    /// Whether this is the series of what found no room in others.
    pub overflow: bool,
    /// `client` of the service graph.
    pub client: String,
    /// `server` of the service graph.
    pub server: String,
    /// `connection_type` of the service graph.
    pub connection_type: String,
}

impl RequestLabels {
    /// Of a series.
    #[must_use]
    pub fn of(series: &MetricSeries) -> Self {
        let mut labels = Self::default();
        let mut error = String::new();
        for attribute in attributes_of(series) {
            let value = to_text(attribute.value.as_ref());
            match attribute.key.as_str() {
                "http.request.method" => labels.method = value,
                "http.route" => labels.route = value,
                "http.response.status_code" => labels.status = value,
                "error.type" => error = value,
                "otel.metric.overflow" => labels.overflow = value == "true",
                "client" => labels.client = value,
                "server" => labels.server = value,
                "connection_type" => labels.connection_type = value,
                _ => {}
            }
        }
        let by_server = labels.status.len() == 3 && labels.status.starts_with('5');
        labels.failed = by_server || !error.is_empty();
        if labels.status.is_empty() {
            labels.status = error;
        }
        labels
    }
}

/// Which instance of its service a resource is: its id, or its host and process.
#[must_use]
pub fn instance(resource: &[u8]) -> String {
    let attributes = resource_attributes(resource);
    let value = |key: &str| {
        let found = attributes.iter().find(|attribute: &&KeyValue| attribute.key == key)?;
        Some(to_text(found.value.as_ref())).filter(|value| !value.is_empty())
    };
    value("service.instance.id")
        .or_else(|| value("k8s.pod.uid"))
        .or_else(|| value("container.id"))
        .or_else(|| value("host.id"))
        .or_else(|| value("host.name"))
        .unwrap_or_default()
}
