//! Who calls whom, and how that goes: from the service graph's metrics, under the names that Tempo
//! gave them.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Api;
use super::error::ApiError;
use super::params::Params;
use super::red::{SERVER_DURATION, each};
use super::services::rate;
use crate::query::{Spread, Tally, TimeRange};
use crate::store::Snapshot;

const REQUESTS: &str = "traces_service_graph_request_total";
const FAILED: &str = "traces_service_graph_request_failed_total";
const SERVER_SECONDS: &str = "traces_service_graph_request_server_seconds";
const CLIENT_SECONDS: &str = "traces_service_graph_request_client_seconds";

/// Calls from one service to another.
#[derive(Default)]
struct Edge {
    requests: f64,
    errors: f64,
    server: Tally,
    client: Tally,
}

impl Edge {
    /// Durations as the called one saw them; as the caller did where the other says nothing.
    fn spread(&self) -> &Spread {
        let server = &self.server.spread;
        if server.count() > 0.0 { server } else { &self.client.spread }
    }

    fn error_rate(&self) -> Option<f64> {
        (self.requests > 0.0).then(|| self.errors / self.requests)
    }
}

#[derive(Default)]
struct Map {
    edges: BTreeMap<(String, String), Edge>,
    /// Services that count their own requests.
    servers: BTreeMap<String, Tally>,
    /// Services that sent anything of their own.
    known: BTreeSet<String>,
}

/// `GET /api/v1/servicemap`
pub(super) async fn servicemap(
    State(api): State<Api>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let range = params.range()?;
    let snapshot = api.snapshot();
    let _turn = api.turn().await?;
    let mut map = read(&snapshot, range).await?;
    if let Some(service) = params.text("service") {
        map.edges.retain(|(from, to), _| from == service || to == service);
        map.servers.retain(|name, _| name == service);
    }
    Ok(Json(answer(&map, range)))
}

async fn read(snapshot: &Snapshot, range: TimeRange) -> Result<Map, ApiError> {
    let mut map = Map::default();
    for of in snapshot.span_services(range.from_ms, range.until_ms).await? {
        map.known.insert(of.service.to_string());
    }
    let metrics = vec![REQUESTS, FAILED, SERVER_SECONDS, CLIENT_SECONDS, SERVER_DURATION];
    each(snapshot, range, metrics, None, |added, labels| {
        let (metric, count) = (&*added.series.metric, added.reading.count());
        if metric == SERVER_DURATION {
            let service = added.series.service.to_string();
            map.known.insert(service.clone());
            map.servers.entry(service).or_default().add(added, labels, 1.0);
            return;
        }
        if labels.client.is_empty() || labels.server.is_empty() {
            return;
        }
        let edge = map.edges.entry((labels.client.clone(), labels.server.clone())).or_default();
        match metric {
            REQUESTS => edge.requests += count,
            FAILED => edge.errors += count,
            SERVER_SECONDS => edge.server.add(added, labels, 1.0),
            _ => edge.client.add(added, labels, 1.0),
        }
    })
    .await?;
    Ok(map)
}

fn answer(map: &Map, range: TimeRange) -> Value {
    let names: BTreeSet<&String> =
        map.edges.keys().flat_map(|(from, to)| [from, to]).chain(map.servers.keys()).collect();
    let nodes: Vec<Value> = names.into_iter().map(|name| node(name, map, range)).collect();
    let edge = |((from, to), edge): (&(String, String), &Edge)| {
        json!({
            "from": from, "to": to, "requests": edge.requests.round(),
            "rate": rate(edge.requests, range),
            "errors": edge.errors.round(), "error_rate": edge.error_rate(),
            "p50_s": edge.spread().quantile(0.5), "p95_s": edge.spread().quantile(0.95),
        })
    };
    let edges: Vec<Value> = map.edges.iter().map(edge).collect();
    json!({
        "nodes": nodes, "edges": edges, "from_ms": range.from_ms, "until_ms": range.until_ms,
    })
}

/// A service by its own count; what has none, by what its callers counted.
fn node(name: &str, map: &Map, range: TimeRange) -> Value {
    let kind = if map.known.contains(name) { "service" } else { "external" };
    if let Some(own) = map.servers.get(name) {
        return json!({
            "service": name, "kind": kind, "requests": own.requests.round(),
            "rate": rate(own.requests, range), "error_rate": own.error_rate(),
            "p95_s": own.spread.quantile(0.95),
        });
    }
    let mut all = Edge::default();
    let mut spread = Spread::default();
    for ((_, to), edge) in &map.edges {
        if to == name {
            all.requests += edge.requests;
            all.errors += edge.errors;
            spread.merge(edge.spread());
        }
    }
    json!({
        "service": name, "kind": kind, "requests": all.requests.round(),
        "rate": rate(all.requests, range), "error_rate": all.error_rate(),
        "p95_s": spread.quantile(0.95),
    })
}
