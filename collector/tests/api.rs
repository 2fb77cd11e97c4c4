//! The whole collector in one process: what is pushed is seen in every answer.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use prost::Message;
use serde_json::Value;
use sonde_collector::config::Settings;
use sonde_collector::server;
use sonde_collector::store::{Store, StoreSettings};
use sonde_collector::telemetry::Metrics;
use tower::ServiceExt;

const RANGE: &str = "from=now-10m&until=now";
const FOLDED: &str = "type=process_cpu:cpu:nanoseconds:cpu:nanoseconds";

struct Collector {
    routes: Router,
    store: Store,
    dir: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("an answer in JSON")
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }
}

impl Collector {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = StoreSettings { data_dir: dir.path().to_owned(), ..StoreSettings::default() };
        let settings = Settings { store, ..Settings::default() };
        let store = Store::open(settings.store.clone()).await.expect("the store opens");
        let routes = server::routes(&store, &settings, &Arc::new(Metrics::default()));
        Self { routes, store, dir }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.routes.clone().oneshot(request).await.expect("routes never fail");
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 64 << 20).await.expect("a whole body").to_vec();
        Answer { status: head.status, headers: head.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    async fn ask(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
        answer.json()
    }

    async fn push_folded(&self, service: &str, stacks: &str) {
        let from = now_s() - 60;
        let name = escaped(service);
        let uri = format!(
            "/ingest?name={name}&from={from}&until={}&format=folded&sampleRate=100",
            from + 10
        );
        let request = Request::post(uri).body(Body::from(stacks.to_owned())).expect("a request");
        let answer = self.send(request).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }

    async fn push(&self, labels: &[(&str, &str)], profile: Vec<u8>) {
        let pair = |&(name, value): &(&str, &str)| Pair { name: name.into(), value: value.into() };
        let labels = labels.iter().map(pair).collect();
        let series = PushSeries { labels, samples: vec![RawSample { raw_profile: profile }] };
        let mut body = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        body.write_all(&PushRequest { series: vec![series] }.encode_to_vec()).expect("to memory");
        let request = Request::post("/push.v1.PusherService/Push")
            .header("content-type", "application/proto")
            .header("content-encoding", "gzip")
            .body(Body::from(body.finish().expect("to memory")))
            .expect("a request");
        let answer = self.send(request).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }

    /// The type that a folded push became.
    async fn type_of_folded(&self) -> String {
        let types = self.ask(&format!("/api/v1/profile/types?{RANGE}")).await;
        types["types"][0]["id"].as_str().expect("one type").to_owned()
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn unzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut out).expect("good gzip");
    out
}

#[tokio::test]
async fn folded_stacks_come_back_in_every_view() {
    let collector = Collector::start().await;
    collector.push_folded("checkout", "main;serve;read 30\nmain;serve 10\nmain;idle 2\n").await;
    let of = collector.type_of_folded().await;
    let everybody = format!("type={of}&{RANGE}");
    let common = format!("{everybody}&selector=%7Bservice_name%3D%22checkout%22%7D");

    let all = collector.ask(&format!("/api/v1/profile/tree?{everybody}&width=100")).await;
    let below = ["all", "checkout", "main", "serve", "read", "idle"];
    assert_eq!(all["names"], serde_json::json!(below), "a service has a box above its functions");
    assert_eq!(all["nodes"]["kind"][1], 5);

    let tree = collector.ask(&format!("/api/v1/profile/tree?{common}&width=100&q=serve")).await;
    let total = tree["total"].as_i64().expect("a total");
    let unit = total / 42;
    assert_eq!(total, 42 * unit);
    assert_eq!(tree["nodes"]["depth"], serde_json::json!([0, 1, 2, 3, 2]));
    assert_eq!(tree["nodes"]["total"], serde_json::json!([42, 42, 40, 30, 2].map(|n| n * unit)));
    assert_eq!(tree["nodes"]["self"], serde_json::json!([0, 0, 10, 30, 2].map(|n| n * unit)));
    assert_eq!(tree["nodes"]["x"], serde_json::json!([0, 0, 0, 0, 40].map(|n| n * unit)));
    assert_eq!(tree["names"], serde_json::json!(["all", "main", "serve", "read", "idle"]));
    assert_eq!(tree["match"]["total"], 40 * unit);
    assert_eq!(tree["match"]["names"], serde_json::json!([2]));
    assert_eq!(tree["root"]["id"], "cbf29ce484222325");

    let narrow = collector.ask(&format!("/api/v1/profile/tree?{common}&width=10")).await;
    assert_eq!(narrow["fillers"]["total"], serde_json::json!([2 * unit]), "idle is 0.5 px wide");
    assert_eq!(narrow["fillers"]["parent"], serde_json::json!([1]));

    let top = collector.ask(&format!("/api/v1/profile/top?{common}&sort=self&limit=1")).await;
    assert_eq!(top["functions"], 4);
    assert_eq!(top["rows"][0]["name"], "read");
    assert_eq!(top["rows"][0]["self"], 30 * unit);

    let line = collector.ask(&format!("/api/v1/profile/timeline?{common}")).await;
    let series = line["series"].as_array().expect("series");
    let values = series.iter().flat_map(|series| series["values"].as_array().expect("values"));
    assert_eq!(values.filter_map(Value::as_i64).sum::<i64>(), total);

    let line = collector.ask(&format!("/api/v1/profile/timeline?type={of}&from=now-3h")).await;
    let series = line["series"].as_array().expect("series");
    let values = series.iter().map(|series| series["values"].as_array().expect("values"));
    assert!(values.clone().all(|values| values.len() == 270), "3 h in steps of 40 s");
    assert_eq!(values.flatten().filter_map(Value::as_i64).sum::<i64>(), total);

    let folded = collector.get(&format!("/api/v1/profile/download?{common}&format=folded")).await;
    let text = folded.text();
    assert!(text.contains(&format!("main;serve;read {}\n", 30 * unit)), "{text}");
    let disposition = folded.headers["content-disposition"].to_str().expect("ASCII");
    assert!(disposition.starts_with("attachment; filename=\""), "{disposition}");

    let svg = collector.get(&format!("/api/v1/profile/download?{common}&format=svg")).await;
    assert!(svg.text().contains("<svg") && svg.text().contains("serve"));
    collector.store.close().await;
}

#[tokio::test]
async fn a_selector_and_a_root_narrow_the_answer() {
    let collector = Collector::start().await;
    collector.push_folded("checkout", "main;pay 5\n").await;
    collector.push_folded("search", "main;find 7\n").await;
    let of = collector.type_of_folded().await;
    let selector = "selector=%7Bservice_name%3D%22checkout%22%7D";
    let common = format!("type={of}&{RANGE}");
    let all = collector.ask(&format!("/api/v1/profile/tree?{common}")).await;
    let one = collector.ask(&format!("/api/v1/profile/tree?{common}&{selector}")).await;
    assert_eq!(one["names"], serde_json::json!(["all", "main", "pay"]));
    let total = |answer: &Value| answer["total"].as_i64().expect("a total");
    assert_eq!(total(&all) * 5, total(&one) * 12);

    let values = collector.ask(&format!("/api/v1/labels/service_name/values?{common}")).await;
    assert_eq!(values["values"][0]["value"], "search");
    assert_eq!(values["values"][1]["value"], "checkout");

    let missing =
        collector.ask(&format!("/api/v1/profile/tree?{common}&root=0000000000000001")).await;
    assert_eq!(missing["root_missing"], true);
    assert_eq!(total(&missing), total(&all));
    collector.store.close().await;
}

#[tokio::test]
async fn a_timeline_is_of_what_the_selector_picks() {
    let collector = Collector::start().await;
    collector.push_folded("checkout{pod=\"a\"}", "main;pay 5\nmain;read 2\n").await;
    collector.push_folded("checkout{pod=\"b\"}", "main;pay 3\n").await;
    collector.push_folded("search{pod=\"a\"}", "main;find 7\n").await;
    let of = collector.type_of_folded().await;
    let mut sums = Vec::new();
    for selector in [
        "",
        "{service_name=\"checkout\"}",
        "{service_name=\"checkout\",pod=\"b\"}",
        "{pod=~\"a|c\"}",
        "{pod!=\"a\"}",
        "{service_name=\"nobody\"}",
    ] {
        let selector = escaped(selector);
        let common = format!("type={of}&{RANGE}&selector={selector}");
        let line = collector.ask(&format!("/api/v1/profile/timeline?{common}")).await;
        let tree = collector.ask(&format!("/api/v1/profile/tree?{common}")).await;
        let series = line["series"].as_array().expect("series");
        let values = series.iter().flat_map(|one| one["values"].as_array().expect("values"));
        let sum: i64 = values.filter_map(Value::as_i64).sum();
        assert_eq!(sum, tree["total"].as_i64().expect("a total"), "{selector}");
        sums.push(sum);
    }
    let unit = sums[0] / 17;
    assert_eq!(sums, [17, 10, 3, 14, 3, 0].map(|n| n * unit));
}

#[tokio::test]
async fn answers_are_gzipped_for_those_who_take_it() {
    let collector = Collector::start().await;
    let stacks: String = (0..500).map(|n| format!("main;function_{n} 1\n")).collect();
    collector.push_folded("checkout", &stacks).await;
    let path = format!("/api/v1/profile/top?type={}&{RANGE}", collector.type_of_folded().await);
    let plain = collector.get(&path).await;
    assert!(plain.headers.get("content-encoding").is_none());
    let request = Request::get(path).header("accept-encoding", "gzip");
    let zipped = collector.send(request.body(Body::empty()).expect("a request")).await;
    assert_eq!(zipped.headers["content-encoding"], "gzip");
    assert!(zipped.body.len() * 4 < plain.body.len(), "{} bytes", zipped.body.len());
    let unzipped: Value = serde_json::from_slice(&unzip(&zipped.body)).expect("JSON");
    assert_eq!(unzipped["rows"], plain.json()["rows"]);
    let request = Request::get(format!("/api/v1/profile/download?{RANGE}&{FOLDED}&format=pprof"));
    let request = request.header("accept-encoding", "gzip").body(Body::empty());
    let pprof = collector.send(request.expect("a request")).await;
    assert!(pprof.headers.get("content-encoding").is_none(), "it is gzipped already");
}

#[tokio::test]
async fn a_file_damaged_while_running_is_named_in_every_answer_and_the_rest_is_answered() {
    let collector = Collector::start().await;
    collector.push_folded("checkout", "main;pay 5\n").await;
    let folder = collector.dir.path().join("samples");
    let list = |folder: &Path| -> Vec<_> {
        let entries = std::fs::read_dir(folder).expect("the folder is there");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let files = || list(&folder);
    collector.store.seal().await.expect("it is sealed");
    // The log goes when its file has taken its place.
    while list(&collector.dir.path().join("wal")).len() > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let of = collector.type_of_folded().await;
    collector.push_folded("search", "main;find 7\n").await;
    let common = format!("type={of}&{RANGE}");
    let whole = collector.ask(&format!("/api/v1/profile/tree?{common}")).await;
    assert_eq!(whole["unread"], serde_json::json!([]));
    let bytes = std::fs::read(&files()[0]).expect("a file");
    std::fs::write(&files()[0], &bytes[..bytes.len() - 9]).expect("cut it");
    // An answer that is kept was right when it was made; this question is a new one.
    let common = format!("type={of}&from=now-11m&until=now");
    let tree = collector.ask(&format!("/api/v1/profile/tree?{common}")).await;
    assert_eq!(tree["total"].as_i64().map(|n| n * 12), whole["total"].as_i64().map(|n| n * 7));
    let name = tree["unread"][0]["file"].as_str().expect("a name");
    assert!(files()[0].ends_with(name), "{name}");
    let line = collector.ask(&format!("/api/v1/profile/timeline?{common}")).await;
    assert_eq!(line["unread"], tree["unread"]);
    let trust = collector.ask(&format!("/api/v1/trust?{common}")).await;
    assert_eq!(trust["lost"]["by_reason"][0]["reason"], format!("damaged file {name}"));
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<PushSeries>,
}
#[derive(Clone, PartialEq, Message)]
struct PushSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Pair>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<RawSample>,
}
#[derive(Clone, PartialEq, Message)]
struct Pair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}
#[derive(Clone, PartialEq, Message)]
struct RawSample {
    #[prost(bytes = "vec", tag = "1")]
    raw_profile: Vec<u8>,
}

#[tokio::test]
async fn a_downloaded_pprof_can_be_pushed_again_and_says_the_same() {
    let first = Collector::start().await;
    first.push_folded("checkout", "main;serve;read 30\nmain;serve 10\n").await;
    let of = first.type_of_folded().await;
    let pprof = first.get(&format!("/api/v1/profile/download?type={of}&{RANGE}")).await;
    assert_eq!(pprof.status, StatusCode::OK, "{}", String::from_utf8_lossy(&pprof.body));
    assert!(!unzip(&pprof.body).is_empty());

    let second = Collector::start().await;
    let name = of.split(':').next().expect("a name");
    second.push(&[("__name__", name), ("service_name", "checkout")], pprof.body.clone()).await;
    let path = format!("/api/v1/profile/tree?type={of}&from=now-20m&until=now");
    let (before, after) = (first.ask(&path).await, second.ask(&path).await);
    assert_eq!(before["nodes"], after["nodes"]);
    assert_eq!(before["names"], after["names"]);
}

#[tokio::test]
async fn a_wrong_question_is_refused_with_the_parameter_and_the_reason() {
    let collector = Collector::start().await;
    let cases = [
        ("profile/tree?width=0", "width"),
        ("profile/tree?selector=%7Ba", "selector"),
        ("profile/tree?from=yesterday", "from"),
        ("profile/tree?root=xyz", "root"),
        ("profile/tree?q=%2F(%2F", "q"),
        ("profile/tree?type=cpu", "type"),
        ("profile/top?sort=up", "sort"),
        ("profile/download?format=jfr", "format"),
        ("labels/pod/values?limit=x", "limit"),
    ];
    for (path, parameter) in cases {
        let answer = collector.get(&format!("/api/v1/{path}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        let error = &answer.json()["error"];
        assert_eq!(error["code"], "invalid_argument");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(&format!("`{parameter}`")), "{path}: {message}");
    }
    assert_eq!(collector.get("/api/v1/nothing").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn no_data_is_an_empty_answer() {
    let collector = Collector::start().await;
    let tree = collector.ask("/api/v1/profile/tree").await;
    assert_eq!((&tree["total"], &tree["nodes_in_tree"]), (&0.into(), &1.into()));
    assert_eq!(collector.ask("/api/v1/profile/top").await["functions"], 0);
    assert_eq!(collector.ask("/api/v1/profile/types").await["types"], serde_json::json!([]));
    let trust = collector.ask("/api/v1/trust").await;
    assert_eq!((&trust["agents"]["seen"], &trust["stacks"]["total"]), (&0.into(), &0.into()));
    let timeline = collector.ask(&format!("/api/v1/profile/timeline?{FOLDED}")).await;
    assert_eq!(timeline["series"].as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn every_answer_is_guarded_and_the_page_is_whole() {
    let collector = Collector::start().await;
    for path in ["/", "/profiles", "/ui/app.js", "/api/v1/labels", "/healthz", "/nothing"] {
        let headers = collector.get(path).await.headers;
        let policy = headers["content-security-policy"].to_str().expect("ASCII");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
    let page = collector.get("/profiles").await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let html = page.text();
    let links = html.split('"').filter(|part| part.starts_with("/ui/"));
    for link in links {
        assert_eq!(collector.get(link).await.status, StatusCode::OK, "{link}");
    }
    let etag = page.headers["etag"].clone();
    let again =
        Request::get("/").header("if-none-match", etag).body(Body::empty()).expect("a request");
    assert_eq!(collector.send(again).await.status, StatusCode::NOT_MODIFIED);
    let zipped = Request::get("/ui/app.js").header("accept-encoding", "gzip");
    let script = collector.send(zipped.body(Body::empty()).expect("a request")).await;
    assert!(script.headers["content-type"].to_str().expect("ASCII").starts_with("text/javascript"));
    let traversal = collector.get("/ui/../Cargo.toml").await;
    assert_eq!(traversal.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_agents_say_about_themselves_is_added_up() {
    let collector = Collector::start().await;
    let profile = Trust::new()
        .stack(&["stacks", "complete", "checkout"], [98, 0])
        .stack(&["stacks", "truncated", "checkout"], [2, 0])
        .stack(&["stacks", "complete", "search"], [1000, 0])
        .stack(&["frames", "named", "checkout"], [500, 0])
        .stack(&["frames", "stripped", "checkout"], [5, 0])
        .stack(&["lost", "sample_ring_full"], [3, 0])
        .stack(&["agent", "cpu"], [0, 90_000_000])
        .stack(&["agent", "bpf"], [0, 10_000_000]);
    let labels = [("__name__", "sonde_trust"), ("service_name", "sonde-agent"), ("host", "one")];
    collector.push(&labels, profile.0.encode_to_vec()).await;

    let selector = "selector=%7Bservice_name%3D%22checkout%22%2Cpod%3D%22x%22%7D";
    let trust = collector.ask(&format!("/api/v1/trust?{selector}")).await;
    let truncated = serde_json::json!([{ "reason": "truncated", "count": 2 }]);
    let stacks = serde_json::json!({ "total": 100, "complete": 98, "by_reason": truncated });
    assert_eq!(trust["stacks"], stacks);
    assert_eq!((&trust["frames"]["total"], &trust["frames"]["unknown"]), (&505.into(), &5.into()));
    assert_eq!(trust["lost"]["total"], 3);
    assert_eq!(trust["agents"]["seen"], 1);
    assert_eq!(trust["agents"]["hosts"][0]["host"], "one");
    assert_eq!(trust["agents"]["hosts"][0]["stale"], false);
    assert_eq!(trust["cost"]["cores"], 0.01, "0.1 s of CPU in the 10 s that were reported");
    let all = collector.ask(&format!("/api/v1/trust?{RANGE}")).await;
    assert_eq!(all["stacks"]["total"], 1100);

    let types = collector.ask(&format!("/api/v1/profile/types?{RANGE}")).await;
    assert_eq!(types["types"], serde_json::json!([]), "not among the profiles to look at");
    let types = collector.ask(&format!("/api/v1/profile/types?{RANGE}&all=1")).await;
    assert_eq!(types["types"].as_array().map(Vec::len), Some(2));
}

/// A trust profile as agents send it.
struct Trust(pprof::Profile);

impl Trust {
    fn new() -> Self {
        let strings = ["", "events", "count", "cost", "nanoseconds"].map(str::to_owned).to_vec();
        let sample_type =
            vec![pprof::ValueType { r#type: 1, unit: 2 }, pprof::ValueType { r#type: 3, unit: 4 }];
        let time_nanos = i64::try_from((now_s() - 12) * 1_000_000_000).expect("before 2262");
        let empty = pprof::Profile::default();
        Self(pprof::Profile { string_table: strings, sample_type, time_nanos, ..empty })
    }

    fn stack(mut self, names: &[&str], values: [i64; 2]) -> Self {
        let profile = &mut self.0;
        let mut location_id = Vec::new();
        for name in names.iter().rev() {
            let id = profile.function.len() as u64 + 1;
            let at = i64::try_from(profile.string_table.len()).expect("few strings");
            profile.string_table.push((*name).to_owned());
            profile.function.push(pprof::Function { id, name: at });
            let line = vec![pprof::Line { function_id: id }];
            profile.location.push(pprof::Location { id, line });
            location_id.push(id);
        }
        profile.sample.push(pprof::Sample { location_id, value: values.to_vec() });
        self
    }
}

/// As much of pprof as the test writes, apart from the collector's own encoder.
mod pprof {
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Profile {
        #[prost(message, repeated, tag = "1")]
        pub(super) sample_type: Vec<ValueType>,
        #[prost(message, repeated, tag = "2")]
        pub(super) sample: Vec<Sample>,
        #[prost(message, repeated, tag = "4")]
        pub(super) location: Vec<Location>,
        #[prost(message, repeated, tag = "5")]
        pub(super) function: Vec<Function>,
        #[prost(string, repeated, tag = "6")]
        pub(super) string_table: Vec<String>,
        #[prost(int64, tag = "9")]
        pub(super) time_nanos: i64,
    }
    #[derive(Clone, PartialEq, Message)]
    pub(super) struct ValueType {
        #[prost(int64, tag = "1")]
        pub(super) r#type: i64,
        #[prost(int64, tag = "2")]
        pub(super) unit: i64,
    }
    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Sample {
        #[prost(uint64, repeated, tag = "1")]
        pub(super) location_id: Vec<u64>,
        #[prost(int64, repeated, tag = "2")]
        pub(super) value: Vec<i64>,
    }
    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Location {
        #[prost(uint64, tag = "1")]
        pub(super) id: u64,
        #[prost(message, repeated, tag = "4")]
        pub(super) line: Vec<Line>,
    }
    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Line {
        #[prost(uint64, tag = "1")]
        pub(super) function_id: u64,
    }
    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Function {
        #[prost(uint64, tag = "1")]
        pub(super) id: u64,
        #[prost(int64, tag = "2")]
        pub(super) name: i64,
    }
}
