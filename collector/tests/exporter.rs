//! OpenTelemetry's own exporters against the collector, over gRPC on real connections.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::{Span, SpanKind, Status, Tracer, TracerProvider};
use opentelemetry_otlp::{
    Compression, MetricExporter, SpanExporter, WithExportConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::{Value, json};
use sonde_collector::config::Settings;
use sonde_collector::server;
use sonde_collector::store::{Store, StoreSettings};
use sonde_collector::telemetry::Metrics;
use tokio::net::TcpListener;
use tower::ServiceExt;

async fn ask(routes: &Router, path: &str) -> Value {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = routes.clone().oneshot(request).await.expect("routes never fail");
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("a whole body");
    serde_json::from_slice(&body).expect("an answer in JSON")
}

fn resource() -> Resource {
    Resource::builder().with_service_name("shop").build()
}

/// Twenty requests, every fourth of which fails, as an instrumented service would send them.
fn serve_requests(endpoint: &str) {
    let spans = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_compression(Compression::Gzip)
        .build()
        .expect("an exporter of spans");
    let traces =
        SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource()).build();
    let points = MetricExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .expect("an exporter of metrics");
    let meters = SdkMeterProvider::builder()
        .with_periodic_exporter(points)
        .with_resource(resource())
        .build();
    let meter = meters.meter("test");
    let durations = meter
        .f64_histogram("http.server.request.duration")
        .with_unit("s")
        .with_boundaries(vec![0.1, 0.2, 0.5])
        .build();
    let tracer = traces.tracer("test");
    for n in 0..20 {
        let mut span = tracer
            .span_builder("GET /cart")
            .with_kind(SpanKind::Server)
            .with_attributes([KeyValue::new("http.route", "/cart")])
            .start(&tracer);
        let status = if n % 4 == 0 { 500 } else { 200 };
        if status == 500 {
            span.set_status(Status::error("no stock"));
        }
        span.end();
        let attributes = [
            KeyValue::new("http.route", "/cart"),
            KeyValue::new("http.request.method", "GET"),
            KeyValue::new("http.response.status_code", status),
        ];
        durations.record(0.15, &attributes);
    }
    traces.shutdown().expect("all spans are sent");
    meters.shutdown().expect("all points are sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_opentelemetry_s_exporters_send_is_found() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = StoreSettings { data_dir: dir.path().to_owned(), ..StoreSettings::default() };
    let settings = Settings { store, ..Settings::default() };
    let store = Store::open(settings.store.clone()).await.expect("the store opens");
    let metrics = Arc::new(Metrics::default());
    let routes = server::routes(&store, &settings, &metrics);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = server::serve(listener, routes.clone(), metrics, async { drop(stopped.await) });
    let serving = tokio::spawn(served);

    let sent = tokio::task::spawn_blocking(move || serve_requests(&endpoint));
    tokio::time::timeout(Duration::from_secs(60), sent).await.expect("in time").expect("sent");
    drop(stop);
    serving.await.expect("the server ends");

    let range = "from=now-10m&until=now";
    let traces = ask(&routes, &format!("/api/v1/traces?{range}")).await;
    assert_eq!(traces["traces"].as_array().expect("a list").len(), 20);
    let failed = ask(&routes, &format!("/api/v1/traces?{range}&status=error&route=/cart")).await;
    assert_eq!(failed["traces"].as_array().expect("a list").len(), 5);
    let services = ask(&routes, &format!("/api/v1/services?{range}")).await;
    let shop = &services["services"][0];
    let (requests, errors) = (&shop["requests"], &shop["errors"]);
    assert_eq!((requests, errors), (&json!(20.0), &json!(5.0)), "{services}");
    assert_eq!((&shop["service"], &shop["spans"]), (&json!("shop"), &json!(20)));
    let p50 = shop["p50_s"].as_f64().expect("a number");
    assert!((p50 - 0.15).abs() < 1e-9, "the middle of its bucket, not {p50}");
}
