//! Services, their routes, and how their requests went over time: from the histograms that count
//! every request, sampled or not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Api;
use super::error::ApiError;
use super::params::{Params, refused};
use super::red::{CLIENT_DURATION, SERVER_DURATION, each};
use crate::query::{
    DEFAULT_BOUNDS_S, RequestLabels, Spread, Steps, Tally, TimeRange, instance, step_ms,
};

/// Steps of a service's sparkline.
const SPARK: usize = 30;
/// Columns of a heatmap, and points of a series.
const MOST_COLUMNS: u32 = 2000;

#[derive(Default)]
struct Service {
    server: Tally,
    counted: bool,
    client_requests: f64,
    spark: Option<Steps>,
    instances: BTreeSet<String>,
    spans: u64,
    last_ms: i64,
}

/// `GET /api/v1/services`
pub(super) async fn services(
    State(api): State<Api>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let range = params.range()?;
    let snapshot = api.snapshot();
    let _turn = api.turn().await?;
    let mut services: BTreeMap<Arc<str>, Service> = BTreeMap::new();
    for of in snapshot.span_services(range.from_ms, range.until_ms).await? {
        let service = services.entry(of.service).or_default();
        service.spans += of.spans;
        service.last_ms = service.last_ms.max(of.last_ms);
        service.instances.insert(instance(&of.resource));
    }
    let spark_ms = (range.length_ms() / 30).max(1);
    let metrics = vec![SERVER_DURATION, CLIENT_DURATION];
    each(&snapshot, range, metrics, None, |added, labels| {
        let service = services.entry(Arc::clone(&added.series.service)).or_default();
        service.last_ms = service.last_ms.max(added.until_ms);
        if &*added.series.metric == CLIENT_DURATION {
            service.client_requests += added.reading.count();
            return;
        }
        service.counted = true;
        service.instances.insert(instance(&added.series.resource));
        service.server.add(added, labels, 1.0);
        let steps = || Steps::new(range.from_ms, range.from_ms + spark_ms * 30, spark_ms);
        service.spark.get_or_insert_with(steps).add(added, labels);
    })
    .await?;
    let services: Vec<Value> =
        services.iter().map(|(name, service)| described(name, service, range)).collect();
    Ok(Json(json!({
        "services": services, "from_ms": range.from_ms, "until_ms": range.until_ms,
    })))
}

fn described(name: &str, service: &Service, range: TimeRange) -> Value {
    let tally = service.counted.then_some(&service.server);
    let quantile = |share| tally.and_then(|tally| tally.spread.quantile(share));
    let spark = service.spark.as_ref().map(|steps| {
        steps.tallies.iter().take(SPARK).map(|tally| rounded(tally.requests)).collect::<Vec<_>>()
    });
    json!({
        "service": name, "instances": service.instances.len(),
        "requests": tally.map(|tally| tally.requests.round()),
        "errors": tally.map(|tally| tally.errors.round()),
        "rate": tally.map(|tally| rate(tally.requests, range)),
        "error_rate": tally.and_then(Tally::error_rate),
        "p50_s": quantile(0.5), "p95_s": quantile(0.95), "p99_s": quantile(0.99),
        "client_requests": service.client_requests.round(), "spans": service.spans,
        "last_ms": service.last_ms, "spark": spark,
    })
}

/// Per second of a range.
#[expect(clippy::cast_precision_loss, reason = "a length of time in milliseconds")]
pub(super) fn rate(count: f64, range: TimeRange) -> f64 {
    count / (range.length_ms().max(1) as f64 / 1e3)
}

/// What was spread over steps has no whole numbers; three digits show that as well as sixteen.
pub(super) fn rounded(count: f64) -> f64 {
    (count * 1e3).round() / 1e3
}

fn service_of(params: &Params) -> Result<String, ApiError> {
    let service = params.text("service").map(str::to_owned);
    service.ok_or_else(|| refused("service", "missing: name the service"))
}

/// Of the route that was asked for, or of any.
fn is_asked(route: Option<&str>, labels: &RequestLabels) -> bool {
    route.is_none_or(|route| labels.route == route)
}

/// `GET /api/v1/services/red`
pub(super) async fn red(State(api): State<Api>, params: Params) -> Result<Json<Value>, ApiError> {
    let range = params.range()?;
    let points = params.number("points", 120_u32, 1..=MOST_COLUMNS)?;
    let steps = api.steps(&params, range, points).await?;
    let tallies = &steps.tallies;
    let some = |tally: &&Tally| tally.requests > 0.0;
    let numbers = |of: fn(&Tally) -> f64| -> Vec<Option<f64>> {
        tallies
            .iter()
            .map(|tally| Some(tally).filter(some).map(|tally| rounded(of(tally))))
            .collect()
    };
    let quantiles = |share| -> Vec<Option<f64>> {
        tallies.iter().map(|tally| tally.spread.quantile(share)).collect()
    };
    Ok(Json(json!({
        "step_ms": steps.step_ms(), "start_ms": range.from_ms,
        "series": {
            "requests": numbers(|tally| tally.requests), "errors": numbers(|tally| tally.errors),
            "p50_s": quantiles(0.5), "p95_s": quantiles(0.95), "p99_s": quantiles(0.99),
        },
        "from_ms": range.from_ms, "until_ms": range.until_ms,
    })))
}

impl Api {
    /// A service's requests step by step, of one route if the question names one.
    async fn steps(
        &self,
        params: &Params,
        range: TimeRange,
        points: u32,
    ) -> Result<Steps, ApiError> {
        let service = service_of(params)?;
        let route = params.text("route");
        let snapshot = self.snapshot();
        let _turn = self.turn().await?;
        let step_ms = step_ms(range.length_ms(), points, 1);
        let mut steps = Steps::new(range.from_ms, range.until_ms, step_ms);
        let metrics = vec![SERVER_DURATION];
        each(&snapshot, range, metrics, Some(service), |added, labels| {
            if is_asked(route, labels) {
                steps.add(added, labels);
            }
        })
        .await?;
        Ok(steps)
    }
}

/// Requests of one method and route.
#[derive(Default)]
struct Route {
    tally: Tally,
    /// Requests by status.
    statuses: BTreeMap<String, f64>,
}

/// What routes are told apart by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct RouteKey {
    method: String,
    route: String,
    overflow: bool,
}

/// `GET /api/v1/services/routes`
pub(super) async fn routes(
    State(api): State<Api>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let range = params.range()?;
    let service = service_of(&params)?;
    let snapshot = api.snapshot();
    let _turn = api.turn().await?;
    let mut routes: BTreeMap<RouteKey, Route> = BTreeMap::new();
    each(&snapshot, range, vec![SERVER_DURATION], Some(service), |added, labels| {
        let (method, route) = (labels.method.clone(), labels.route.clone());
        let route = routes.entry(RouteKey { method, route, overflow: labels.overflow });
        let route = route.or_default();
        route.tally.add(added, labels, 1.0);
        *route.statuses.entry(labels.status.clone()).or_default() += added.reading.count();
    })
    .await?;
    let mut routes: Vec<_> = routes.into_iter().collect();
    routes.sort_by(|a, b| b.1.tally.requests.total_cmp(&a.1.tally.requests));
    let routes: Vec<Value> =
        routes.iter().map(|(key, route)| described_route(key, route, range)).collect();
    Ok(Json(json!({ "routes": routes, "from_ms": range.from_ms, "until_ms": range.until_ms })))
}

fn described_route(key: &RouteKey, Route { tally, statuses }: &Route, range: TimeRange) -> Value {
    let status =
        |(status, count): (&String, &f64)| json!({ "status": status, "requests": count.round() });
    let mut answer = json!({
        "method": key.method, "route": key.route,
        "requests": tally.requests.round(), "errors": tally.errors.round(),
        "rate": rate(tally.requests, range), "error_rate": tally.error_rate(),
        "p50_s": tally.spread.quantile(0.5), "p95_s": tally.spread.quantile(0.95),
        "p99_s": tally.spread.quantile(0.99),
        "statuses": statuses.iter().map(status).collect::<Vec<_>>(),
    });
    if key.overflow {
        answer["overflow"] = true.into();
    }
    answer
}

/// `GET /api/v1/services/heatmap`
pub(super) async fn heatmap(
    State(api): State<Api>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let range = params.range()?;
    let columns = params.number("columns", 120_u32, 1..=MOST_COLUMNS)?;
    let steps = api.steps(&params, range, columns).await?;
    let bounds = bounds(&steps);
    let columns: Vec<Vec<f64>> = steps
        .tallies
        .iter()
        .map(|tally| tally.spread.by_bounds(&bounds).into_iter().map(rounded).collect())
        .collect();
    Ok(Json(json!({
        "step_ms": steps.step_ms(), "start_ms": range.from_ms,
        "bounds_s": bounds, "columns": columns,
        "from_ms": range.from_ms, "until_ms": range.until_ms,
    })))
}

/// The histograms' own bounds; OpenTelemetry's where those are too many for a picture, as
/// exponential ones are.
fn bounds(steps: &Steps) -> Vec<f64> {
    let all = |tally: &Tally| Spread::bounds(&tally.spread);
    let bits: BTreeSet<u64> = steps.tallies.iter().flat_map(all).map(f64::to_bits).collect();
    if bits.is_empty() || bits.len() > 40 {
        return DEFAULT_BOUNDS_S.to_vec();
    }
    bits.into_iter().map(f64::from_bits).collect()
}
