//! The sender against a server of a few lines in the same process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::future::{pending, ready};
use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::*;
use crate::export::push::Credentials;

/// Answers with the given statuses in turn, then with 200, and keeps what it was sent.
#[derive(Default)]
struct Server {
    answers: Mutex<VecDeque<StatusCode>>,
    bodies: Mutex<Vec<Bytes>>,
    headers: Mutex<HeaderMap>,
}

async fn take(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    server.bodies.lock().unwrap().push(body);
    *server.headers.lock().unwrap() = headers;
    (server.answers.lock().unwrap().pop_front().unwrap_or(StatusCode::OK), "said the server")
}

async fn server(answers: &[StatusCode]) -> (Arc<Server>, String) {
    let server =
        Arc::new(Server { answers: Mutex::new(answers.to_vec().into()), ..Server::default() });
    let routes = Router::new()
        .route("/push.v1.PusherService/Push", post(take))
        .with_state(Arc::clone(&server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    (server, url)
}

/// An address at which nothing listens: the port was ours a moment ago.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn settings(url: String) -> PushSettings {
    PushSettings {
        url,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
        flush_timeout: Duration::from_secs(20),
        ..PushSettings::default()
    }
}

fn request(body: &'static str) -> Request {
    Request { body: body.into(), profiles: 2, samples: 0, lost: Vec::new() }
}

/// Pushes, ends, and says what became of it: the sender flushes before it returns.
async fn push_all(settings: PushSettings, bodies: &[&'static str]) -> PushMetrics {
    let metrics = PushMetrics::default();
    let (pusher, sender) = channel(settings, metrics.clone(), Losses::default()).unwrap();
    bodies.iter().for_each(|body| pusher.push(request(body)));
    sender.run(ready(())).await;
    metrics
}

#[tokio::test]
async fn what_is_queued_when_the_agent_ends_is_delivered_in_order() {
    let (server, url) = server(&[]).await;
    let metrics = push_all(settings(url), &["one", "two"]).await;
    assert_eq!(*server.bodies.lock().unwrap(), ["one", "two"]);
    assert_eq!(metrics.requests(Outcome::Delivered), 2);
    assert_eq!(metrics.delivered_bytes.get(), 6);
    assert_eq!(metrics.queue_bytes.get(), 0);
}

#[tokio::test]
async fn what_is_queued_while_the_agent_runs_is_delivered() {
    let (server, url) = server(&[]).await;
    let (pusher, sender) =
        channel(settings(url), PushMetrics::default(), Losses::default()).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(sender.run(async { stopped.await.unwrap() }));
    pusher.push(request("one"));
    while server.bodies.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    assert_eq!(running.await.unwrap(), 0);
}

#[tokio::test]
async fn an_overloaded_server_gets_the_same_bytes_again() {
    let (server, url) = server(&[StatusCode::SERVICE_UNAVAILABLE; 2]).await;
    let metrics = push_all(settings(url), &["same"]).await;
    assert_eq!(*server.bodies.lock().unwrap(), ["same", "same", "same"]);
    assert_eq!(metrics.requests(Outcome::Retried), 2);
    assert_eq!(metrics.requests(Outcome::Delivered), 1);
}

#[tokio::test]
async fn a_refused_request_is_counted_and_not_repeated() {
    for status in [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED, StatusCode::FOUND] {
        let (server, url) = server(&[status]).await;
        let metrics = push_all(settings(url), &["bad", "good"]).await;
        assert_eq!(*server.bodies.lock().unwrap(), ["bad", "good"], "{status}");
        assert_eq!(metrics.requests(Outcome::Refused), 1, "{status}");
        assert_eq!(metrics.requests(Outcome::Delivered), 1, "{status}");
    }
}

#[tokio::test]
async fn a_request_on_which_the_server_always_breaks_does_not_stop_the_others() {
    let (server, url) = server(&[StatusCode::INTERNAL_SERVER_ERROR; 10]).await;
    let metrics = push_all(settings(url), &["poison", "good"]).await;
    assert_eq!(metrics.requests(Outcome::GivenUp), 1);
    assert_eq!(server.bodies.lock().unwrap().last().unwrap(), "good");
}

#[tokio::test]
async fn a_dead_server_costs_the_oldest_and_no_more_room_than_allowed() {
    let settings = PushSettings { queue_bytes: 9, ..settings(nobody().await) };
    let metrics = PushMetrics::default();
    let (pusher, sender) = channel(settings, metrics.clone(), Losses::default()).unwrap();
    let running = tokio::spawn(sender.run(pending()));
    ["aaa", "bbb", "ccc", "ddd", "eee"].into_iter().for_each(|body| pusher.push(request(body)));
    while metrics.requests(Outcome::Retried) < 2 {
        tokio::task::yield_now().await;
    }
    assert!(metrics.queue_bytes.get() <= 9);
    assert_eq!(metrics.requests(Outcome::QueueFull), 2);
    running.abort();
}

#[tokio::test]
async fn what_a_dead_server_never_took_is_counted_when_the_agent_ends() {
    let flush_timeout = Duration::from_millis(20);
    let settings = PushSettings { flush_timeout, ..settings(nobody().await) };
    let metrics = push_all(settings, &["one", "two"]).await;
    assert_eq!(metrics.requests(Outcome::Shutdown), 2);
    let labels = crate::export::push::OutcomeLabels { outcome: Outcome::Shutdown.label() };
    assert_eq!(metrics.profiles.get_or_create(&labels).get(), 4);
}

#[tokio::test]
async fn credentials_tenant_and_headers_are_sent() {
    let (server, url) = server(&[]).await;
    let settings = PushSettings {
        credentials: Some(Credentials::Basic("me".into(), "pw".to_owned().into())),
        tenant: Some("team-a".into()),
        headers: vec![("X-Extra".into(), "1".to_owned().into())],
        ..settings(url)
    };
    push_all(settings, &["one"]).await;
    let headers = server.headers.lock().unwrap();
    let sent = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(sent("authorization"), "Basic bWU6cHc=");
    assert_eq!(sent("x-scope-orgid"), "team-a");
    assert_eq!(sent("x-extra"), "1");
    assert_eq!(sent("content-type"), "application/proto");
}
