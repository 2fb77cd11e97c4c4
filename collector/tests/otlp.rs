//! OTLP through the whole collector in one process: what is sent is seen in every answer.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine;
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use serde_json::{Value, json};
use sonde_collector::config::Settings;
use sonde_collector::ingest::Limits;
use sonde_collector::server;
use sonde_collector::store::{Store, StoreSettings};
use sonde_collector::telemetry::Metrics;
use tower::ServiceExt;

const RANGE: &str = "from=now-10m&until=now";
const PROTOBUF: &str = "application/x-protobuf";

struct Collector {
    routes: Router,
    _dir: tempfile::TempDir,
}

impl Collector {
    async fn start() -> Self {
        Self::start_with(Limits::default()).await
    }

    async fn start_with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = StoreSettings { data_dir: dir.path().to_owned(), ..StoreSettings::default() };
        let settings = Settings { store, limits, ..Settings::default() };
        let store = Store::open(settings.store.clone()).await.expect("the store opens");
        let routes = server::routes(&store, &settings, &Arc::new(Metrics::default()));
        Self { routes, _dir: dir }
    }

    async fn post(
        &self,
        path: &str,
        kind: &str,
        body: Vec<u8>,
    ) -> (StatusCode, HeaderMap, Vec<u8>) {
        let request = Request::post(path).header("content-type", kind).body(Body::from(body));
        let request = request.expect("a request");
        let response = self.routes.clone().oneshot(request).await.expect("routes never fail");
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 64 << 20).await.expect("a whole body").to_vec();
        (head.status, head.headers, body)
    }

    async fn ask(&self, path: &str) -> Value {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = self.routes.clone().oneshot(request).await.expect("routes never fail");
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 64 << 20).await.expect("a whole body");
        assert_eq!(head.status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("an answer in JSON")
    }

    async fn send_spans(&self, request: &ExportTraceServiceRequest) {
        let (status, _, body) = self.post("/v1/traces", PROTOBUF, request.encode_to_vec()).await;
        assert_eq!((status, body.len()), (StatusCode::OK, 0));
    }

    async fn send_metrics(&self, request: &ExportMetricsServiceRequest) {
        let (status, _, body) = self.post("/v1/metrics", PROTOBUF, request.encode_to_vec()).await;
        assert_eq!((status, body.len()), (StatusCode::OK, 0));
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_nanos()).expect("before 2500")
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = any_value::Value::StringValue(value.to_owned());
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn resource(service: &str, instance: &str) -> Option<Resource> {
    let attributes = vec![text("service.name", service), text("service.instance.id", instance)];
    Some(Resource { attributes, ..Resource::default() })
}

fn spans_of(service: &str, spans: Vec<Span>) -> ResourceSpans {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ResourceSpans { resource: resource(service, "1"), scope_spans, ..ResourceSpans::default() }
}

/// A span of trace `trace` that begins `at_ms` after a minute ago.
fn span(trace: u8, id: u8, parent: u8, at_ms: u64, name: &str) -> Span {
    let start = now_ns() / 1_000_000_000 * 1_000_000_000 - 60_000_000_000 + at_ms * 1_000_000;
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: name.to_owned(),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 20_000_000,
        attributes: vec![text("http.route", name), text("color", "red")],
        ..Span::default()
    }
}

#[tokio::test]
async fn a_trace_of_two_services_is_found_by_what_it_has_and_shown_whole() {
    let collector = Collector::start().await;
    let failed = Some(Status { code: 2, message: "no stock".to_owned() });
    let stock = Span { status: failed, kind: 3, ..span(1, 2, 1, 5, "/stock") };
    let resource_spans = vec![
        spans_of("stock", vec![stock]),
        spans_of("shop", vec![span(1, 1, 0, 0, "/cart"), span(2, 3, 9, 90, "/login")]),
    ];
    collector.send_spans(&ExportTraceServiceRequest { resource_spans }).await;

    let all = collector.ask(&format!("/api/v1/traces?{RANGE}")).await;
    let ids: Vec<&str> = all["traces"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|t| t["trace_id"].as_str())
        .collect();
    assert_eq!(ids, ["02".repeat(16), "01".repeat(16)], "newest first");
    let cart = &all["traces"][1];
    assert_eq!((&cart["root_service"], &cart["root_name"]), (&json!("shop"), &json!("/cart")));
    assert_eq!(
        (&cart["spans"], &cart["errors"], &cart["matched"]),
        (&json!(2), &json!(1), &json!(2))
    );
    assert_eq!(cart["duration_ms"], 25.0);
    assert_eq!(all["traces"][0]["complete"], false, "its parent is not here");

    for (question, expected) in [
        ("service=stock", 1),
        ("status=error", 1),
        ("status=ok&service=stock", 0),
        ("route=/login", 1),
        ("name=%2Fcart", 1),
        ("min_duration_ms=19.5", 2),
        ("min_duration_ms=21", 0),
        ("attribute=color=red", 2),
        ("attribute=color=red&attribute=http.route=/cart", 1),
        ("attribute=service.name=shop", 2),
        ("text=STOCK", 1),
        ("limit=1", 1),
        ("service=nobody", 0),
    ] {
        let found = collector.ask(&format!("/api/v1/traces?{RANGE}&{question}")).await;
        assert_eq!(found["traces"].as_array().expect("a list").len(), expected, "{question}");
    }
    assert_eq!(collector.ask(&format!("/api/v1/traces?{RANGE}&limit=1")).await["more"], true);

    let trace = collector.ask(&format!("/api/v1/traces/{}", "01".repeat(16))).await;
    let shown = &trace["spans"];
    assert_eq!(shown[0]["parent_span_id"], Value::Null);
    assert_eq!(shown[1]["parent_span_id"], shown[0]["span_id"]);
    assert_eq!((&shown[1]["kind"], &shown[1]["status"]), (&json!("client"), &json!("error")));
    assert_eq!(
        (&shown[1]["start_offset_ns"], &shown[1]["status_message"]),
        (&json!(5_000_000), &json!("no stock"))
    );
    let of =
        shown[1]["resource"].as_u64().and_then(|at| usize::try_from(at).ok()).expect("a place");
    assert_eq!(trace["resources"][of]["service"], "stock");
    let unknown = Request::get(format!("/api/v1/traces/{}", "03".repeat(16)));
    let unknown = unknown.body(Body::empty()).expect("a request");
    let unknown = collector.routes.clone().oneshot(unknown).await.expect("routes never fail");
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_trace_of_fifty_thousand_spans_is_answered() {
    let collector = Collector::start().await;
    let spans = |from: u64| {
        let one = |n: u64| Span {
            span_id: (n + 1).to_be_bytes().to_vec(),
            ..span(7, 1, 1, n % 50_000, "/x")
        };
        vec![spans_of("shop", (from..from + 25_000).map(one).collect())]
    };
    for from in [0, 25_000] {
        collector.send_spans(&ExportTraceServiceRequest { resource_spans: spans(from) }).await;
    }
    let trace = collector.ask(&format!("/api/v1/traces/{}", "07".repeat(16))).await;
    assert_eq!(trace["spans"].as_array().expect("a list").len(), 50_000);
    assert_eq!(trace["truncated"], false);
}

#[tokio::test]
async fn answers_are_worded_as_the_specification_says() {
    let collector = Collector::start().await;
    let bad = Span { trace_id: vec![0; 16], ..span(1, 1, 0, 0, "/bad") };
    let resource_spans = vec![spans_of("shop", vec![bad, span(1, 2, 0, 0, "/good")])];
    let request = ExportTraceServiceRequest { resource_spans };

    let (status, headers, body) =
        collector.post("/v1/traces", PROTOBUF, request.encode_to_vec()).await;
    assert_eq!((status, headers["content-type"].to_str().ok()), (StatusCode::OK, Some(PROTOBUF)));
    let answer = ExportTraceServiceResponse::decode(&body[..]).expect("an answer");
    assert_eq!(answer.partial_success.expect("one rejected").rejected_spans, 1);

    let json = serde_json::to_vec(&request).expect("JSON");
    let (status, headers, body) =
        collector.post("/v1/traces", "application/json; charset=utf-8", json).await;
    assert_eq!(
        (status, headers["content-type"].to_str().ok()),
        (StatusCode::OK, Some("application/json"))
    );
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(body["partialSuccess"]["rejectedSpans"], "1");

    let (status, _, body) = collector.post("/v1/traces", "application/json", b"{".to_vec()).await;
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!(3)));
    let (status, headers, body) = collector.post("/v1/traces", PROTOBUF, vec![0xff]).await;
    assert_eq!(
        (status, headers["content-type"].to_str().ok()),
        (StatusCode::BAD_REQUEST, Some(PROTOBUF))
    );
    assert_eq!(body[..2], [8, 3], "google.rpc.Status with INVALID_ARGUMENT");
    let (status, ..) = collector.post("/v1/traces", "text/plain", Vec::new()).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn grpc_answers_with_a_message_and_a_status_at_the_end() {
    let collector = Collector::start().await;
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let resource_spans = vec![spans_of("shop", vec![span(1, 2, 0, 0, "/good")])];
    let message = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).expect("short").to_be_bytes());
    frame.extend(&message);
    let request = Request::post(path).header("content-type", "application/grpc");
    let request = request.body(Body::from(frame)).expect("a request");
    let response = collector.routes.clone().oneshot(request).await.expect("routes never fail");
    let whole = response.into_body().collect().await.expect("a whole body");
    let trailers = whole.trailers().cloned().expect("trailers");
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(whole.to_bytes().as_ref(), [0; 5], "an empty message");
    let (status, headers, _) = collector.post(path, "application/grpc", vec![0, 0, 0, 0, 9]).await;
    assert_eq!((status, headers["grpc-status"].to_str().ok()), (StatusCode::OK, Some("3")));
    assert!(headers.contains_key("grpc-status-details-bin"));
    let found = collector.ask(&format!("/api/v1/traces?{RANGE}")).await;
    assert_eq!(found["traces"].as_array().expect("a list").len(), 1);
}

#[tokio::test]
async fn over_budget_says_when_to_come_back_and_keeps_nothing() {
    let limits = Limits { in_flight_bytes: 20, ..Limits::default() };
    let collector = Collector::start_with(limits).await;
    let resource_spans = vec![spans_of("shop", vec![span(1, 2, 0, 0, "/good")])];
    let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    let (status, headers, _) = collector.post("/v1/traces", PROTOBUF, body.clone()).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(headers["retry-after"], "5");
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let (_, headers, _) = collector.post(path, "application/grpc", body).await;
    assert_eq!(headers["grpc-status"], "8", "RESOURCE_EXHAUSTED");
    let details = headers["grpc-status-details-bin"].as_bytes();
    let details = base64::engine::general_purpose::STANDARD_NO_PAD.decode(details);
    let details = details.expect("base64");
    let text = String::from_utf8_lossy(&details);
    assert!(text.contains("google.rpc.RetryInfo"), "without it nobody tries again: {text}");
    let found = collector.ask(&format!("/api/v1/traces?{RANGE}")).await;
    assert_eq!(found["traces"], json!([]));
}

#[tokio::test]
async fn a_span_with_ten_thousand_attributes_keeps_them_all() {
    let collector = Collector::start().await;
    let attributes = (0..10_000).map(|n| text(&format!("key.{n}"), "value")).collect();
    let large = Span { attributes, ..span(1, 1, 0, 0, "/large") };
    let resource_spans = vec![spans_of("shop", vec![large])];
    collector.send_spans(&ExportTraceServiceRequest { resource_spans }).await;
    let trace = collector.ask(&format!("/api/v1/traces/{}", "01".repeat(16))).await;
    let attributes = trace["spans"][0]["attributes"].as_array().expect("a list");
    assert_eq!(attributes.len(), 10_000);
    let found = collector.ask(&format!("/api/v1/traces?{RANGE}&attribute=key.9999=value")).await;
    assert_eq!(found["traces"].as_array().expect("a list").len(), 1);
}

fn metrics_of(service: &str, instance: &str, metrics: Vec<Metric>) -> ResourceMetrics {
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let resource = resource(service, instance);
    ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }
}

fn durations(points: Vec<HistogramDataPoint>) -> Metric {
    let histogram = Histogram { data_points: points, aggregation_temporality: 2 };
    Metric {
        name: "http.server.request.duration".to_owned(),
        unit: "s".to_owned(),
        data: Some(Data::Histogram(histogram)),
        ..Metric::default()
    }
}

/// Cumulative counts in the buckets up to 0.1 s, up to 0.2 s and above, so many seconds ago.
fn point(
    route: &str,
    status: i64,
    start_ago_s: u64,
    ago_s: u64,
    counts: [u64; 3],
) -> HistogramDataPoint {
    let status = any_value::Value::IntValue(status);
    let status = KeyValue {
        key: "http.response.status_code".to_owned(),
        value: Some(AnyValue { value: Some(status) }),
        ..KeyValue::default()
    };
    HistogramDataPoint {
        attributes: vec![text("http.route", route), text("http.request.method", "GET"), status],
        start_time_unix_nano: now_ns() - start_ago_s * 1_000_000_000,
        time_unix_nano: now_ns() - ago_s * 1_000_000_000,
        count: counts.iter().sum(),
        bucket_counts: counts.to_vec(),
        explicit_bounds: vec![0.1, 0.2],
        ..HistogramDataPoint::default()
    }
}

/// Two instances: one that was restarted, one that has run for long.
async fn with_requests() -> Collector {
    let collector = Collector::start().await;
    let first = vec![
        point("/cart", 200, 100, 90, [10, 0, 0]),
        point("/cart", 200, 100, 80, [20, 10, 0]),
        // Restarted.
        point("/cart", 200, 75, 70, [5, 5, 0]),
        point("/cart", 500, 75, 60, [0, 0, 10]),
    ];
    let second = vec![
        point("/login", 200, 9999, 90, [1000, 0, 0]),
        point("/login", 200, 9999, 60, [1040, 0, 0]),
    ];
    let resource_metrics = vec![
        metrics_of("shop", "1", vec![durations(first)]),
        metrics_of("shop", "2", vec![durations(second)]),
    ];
    collector.send_metrics(&ExportMetricsServiceRequest { resource_metrics }).await;
    collector
}

#[tokio::test]
async fn requests_are_counted_over_instances_and_through_restarts() {
    let collector = with_requests().await;
    let services = collector.ask(&format!("/api/v1/services?{RANGE}")).await;
    let shop = &services["services"][0];
    // 30 before the restart, 10 after it, 10 that failed, and 40 of the other instance.
    assert_eq!((&shop["requests"], &shop["errors"]), (&json!(90.0), &json!(10.0)), "{shop}");
    assert_eq!((&shop["instances"], &shop["spans"]), (&json!(2), &json!(0)));
    assert_eq!(shop["rate"], 90.0 / 600.0);
    assert_eq!(shop["p99_s"], 0.2, "the last bucket has no end");
    let p50 = shop["p50_s"].as_f64().expect("a number");
    assert!((p50 - 0.1 * 45.0 / 65.0).abs() < 1e-9, "{p50}");
    let spark = shop["spark"].as_array().expect("a list");
    let sum: f64 = spark.iter().filter_map(Value::as_f64).sum();
    assert!(spark.len() == 30 && (sum - 90.0).abs() < 0.1, "{spark:?}");

    let routes = collector.ask(&format!("/api/v1/services/routes?{RANGE}&service=shop")).await;
    let cart = &routes["routes"][0];
    assert_eq!(
        (&cart["route"], &cart["method"], &cart["requests"]),
        (&json!("/cart"), &json!("GET"), &json!(50.0))
    );
    assert_eq!(
        cart["statuses"],
        json!([{"status": "200", "requests": 40.0}, {"status": "500", "requests": 10.0}])
    );
    assert_eq!(routes["routes"][1]["error_rate"], 0.0);
    let nobody = collector.ask(&format!("/api/v1/services/routes?{RANGE}&service=nobody")).await;
    assert_eq!(nobody["routes"], json!([]));
}

#[tokio::test]
async fn steps_and_columns_add_up_to_the_whole() {
    let collector = with_requests().await;
    let path = format!("/api/v1/services/red?{RANGE}&service=shop&points=60");
    let red = collector.ask(&path).await;
    let series = &red["series"];
    let sum =
        |of: &Value| of.as_array().expect("a list").iter().filter_map(Value::as_f64).sum::<f64>();
    assert_eq!(red["step_ms"], 10_000);
    assert!((sum(&series["requests"]) - 90.0).abs() < 0.1, "{series}");
    assert!((sum(&series["errors"]) - 10.0).abs() < 0.1, "{series}");
    let empty =
        series["requests"].as_array().expect("a list").iter().filter(|v| v.is_null()).count();
    assert!(empty > 40, "{series}");
    let cart = collector.ask(&format!("{path}&route=/cart")).await;
    assert!((sum(&cart["series"]["requests"]) - 50.0).abs() < 0.1);

    let map =
        collector.ask(&format!("/api/v1/services/heatmap?{RANGE}&service=shop&columns=60")).await;
    assert_eq!(map["bounds_s"], json!([0.1, 0.2]));
    let columns = map["columns"].as_array().expect("a list");
    let rows: Vec<f64> =
        (0..3).map(|row| columns.iter().filter_map(|column| column[row].as_f64()).sum()).collect();
    assert!((rows[0] - 65.0).abs() < 0.1 && (rows[1] - 15.0).abs() < 0.1, "{rows:?}");
    assert!((rows[2] - 10.0).abs() < 0.1, "{rows:?}");
}

#[tokio::test]
async fn the_map_shows_who_calls_whom_and_who_only_answers() {
    let collector = with_requests().await;
    let count = |server: &str, value: i64| NumberDataPoint {
        attributes: vec![text("client", "shop"), text("server", server)],
        start_time_unix_nano: now_ns() - 60_000_000_000,
        time_unix_nano: now_ns() - 1_000_000_000,
        value: Some(number_data_point::Value::AsInt(value)),
        ..NumberDataPoint::default()
    };
    let sum = |name: &str, data_points| Metric {
        name: name.to_owned(),
        data: Some(Data::Sum(Sum { data_points, aggregation_temporality: 1, is_monotonic: true })),
        ..Metric::default()
    };
    let metrics = vec![
        sum("traces_service_graph_request_total", vec![count("db:5432", 20), count("shop", 1)]),
        sum("traces_service_graph_request_failed_total", vec![count("db:5432", 5)]),
    ];
    let resource_metrics = vec![metrics_of("agent", "1", metrics)];
    collector.send_metrics(&ExportMetricsServiceRequest { resource_metrics }).await;
    let map = collector.ask(&format!("/api/v1/servicemap?{RANGE}")).await;
    let edge = &map["edges"][0];
    assert_eq!((&edge["from"], &edge["to"]), (&json!("shop"), &json!("db:5432")));
    assert_eq!(
        (&edge["requests"], &edge["errors"], &edge["error_rate"]),
        (&json!(20.0), &json!(5.0), &json!(0.25))
    );
    let kinds: Vec<_> = map["nodes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|n| (n["service"].clone(), n["kind"].clone()))
        .collect();
    assert_eq!(kinds, [(json!("db:5432"), json!("external")), (json!("shop"), json!("service"))]);
    assert_eq!(map["nodes"][1]["requests"], 90.0);
}

#[tokio::test]
async fn a_request_sent_again_counts_once() {
    let collector = Collector::start().await;
    let points = vec![point("/cart", 200, 100, 90, [10, 0, 0])];
    let resource_metrics = vec![metrics_of("shop", "1", vec![durations(points)])];
    let request = ExportMetricsServiceRequest { resource_metrics };
    collector.send_metrics(&request).await;
    collector.send_metrics(&request).await;
    let (_, _, text) = {
        let request = Request::get("/metrics").body(Body::empty()).expect("a request");
        let response = collector.routes.clone().oneshot(request).await.expect("routes never fail");
        let (head, body) = response.into_parts();
        (head.status, head.headers, to_bytes(body, 1 << 20).await.expect("a whole body"))
    };
    let text = String::from_utf8_lossy(&text);
    for line in [
        "sonde_collector_otlp_rows_total{signal=\"metrics\"} 1",
        "sonde_collector_pushes_duplicate_total{endpoint=\"v1/metrics\"} 1",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}
