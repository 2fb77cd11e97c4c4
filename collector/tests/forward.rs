//! What is received is passed on as it came, and a backend that is gone costs the sender nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use sonde_collector::forward::{self, ForwardSettings};
use sonde_collector::ingest::{Limits, Otlp};
use sonde_collector::store::{Store, StoreSettings};
use sonde_collector::telemetry::Metrics;
use tokio::net::TcpListener;
use tower::ServiceExt;

/// A backend that is busy twice and then takes everything.
#[derive(Clone, Default)]
struct Backend {
    asked: Arc<AtomicUsize>,
    got: Arc<Mutex<Vec<(String, String, Bytes)>>>,
}

async fn take(
    State(backend): State<Backend>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    if backend.asked.fetch_add(1, Ordering::Relaxed) < 2 {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let kind = headers["content-type"].to_str().unwrap_or_default().to_owned();
    let got = (uri.path().to_owned(), kind, body);
    backend.got.lock().expect("no panic while it is held").push(got);
    StatusCode::OK
}

fn request(span_id: u8) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![span_id; 8],
        start_time_unix_nano: u64::try_from(now).expect("before 2500"),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let of = ResourceSpans { scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![of] }.encode_to_vec()
}

async fn send(routes: &Router, body: Vec<u8>) {
    let request = Request::post("/v1/traces").header("content-type", "application/x-protobuf");
    let request = request.body(Body::from(body)).expect("a request");
    let response = routes.clone().oneshot(request).await.expect("routes never fail");
    assert_eq!(response.status(), StatusCode::OK);
}

/// Sends three requests, one of them twice, to a collector that passes them on to `url`.
async fn sent(url: &str) -> (Arc<Metrics>, Duration) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let settings = StoreSettings { data_dir: dir.path().to_owned(), ..StoreSettings::default() };
    let store = Store::open(settings).await.expect("the store opens");
    let metrics = Arc::new(Metrics::default());
    let settings = ForwardSettings {
        longest_pause: Duration::from_millis(20),
        grace: Duration::from_secs(2),
        ..ForwardSettings::to(url)
    };
    let (forwarder, sender) =
        forward::channel(settings, metrics.forward.clone()).expect("a client");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let sending = tokio::spawn(sender.run(async { drop(stopped.await) }));
    let otlp = Otlp::new(store, Limits::default(), metrics.ingest.clone(), Some(forwarder));
    let routes = otlp.http_routes();
    let start = Instant::now();
    for id in [1, 2, 3] {
        let body = request(id);
        send(&routes, body.clone()).await;
        if id == 3 {
            send(&routes, body).await;
        }
    }
    let took = start.elapsed();
    drop(stop);
    sending.await.expect("the sender ends");
    (metrics, took)
}

#[tokio::test]
async fn a_request_is_passed_on_once_as_it_came_also_if_the_backend_was_busy() {
    let backend = Backend::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let routes = Router::new().fallback(take).with_state(backend.clone());
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
    let (metrics, _) = sent(&format!("http://{address}/base")).await;
    serving.abort();
    let got = backend.got.lock().expect("no panic while it is held").clone();
    assert_eq!(got.len(), 3);
    for (path, kind, body) in &got {
        assert_eq!((&**path, &**kind), ("/base/v1/traces", "application/x-protobuf"));
        assert!(ExportTraceServiceRequest::decode(&body[..]).is_ok());
    }
    let text = metrics.encode();
    let line = "forward_requests_total{signal=\"traces\",outcome=\"delivered\"} 3";
    assert!(text.contains(line), "{text}");
}

#[tokio::test]
async fn a_dead_backend_does_not_slow_the_ingest_and_losses_are_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let (metrics, took) = sent(&format!("http://{address}")).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    let text = metrics.encode();
    let line = "forward_requests_total{signal=\"traces\",outcome=\"shutdown\"} 3";
    assert!(text.contains(line), "{text}");
}
