//! Facts about whole requests: what is taken, what is refused, and that nothing panics.
#![expect(clippy::unwrap_used, reason = "a failure here is the test's failure")]

use proptest::prelude::*;
use tower::ServiceExt;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};

use super::body::tests::gzip;
use super::fuzz::{decode_ingest, decode_pprof, decode_push};
use super::*;
use crate::store::{Select, Store, StoreSettings};

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push((value & 0x7f | 0x80).to_le_bytes()[0]);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn number(field: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3, &mut out);
    varint(value, &mut out);
    out
}

fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3 | 2, &mut out);
    varint(value.len() as u64, &mut out);
    out.extend_from_slice(value);
    out
}

fn now_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

/// `main` → `work` → inlined `leaf`, 3 ticks of 10 ns, with a `pid` and a `span_id`.
fn pprof_at(location_id: u64, time_ns: u64) -> Vec<u8> {
    let strings = [
        "",
        "cpu",
        "nanoseconds",
        "main",
        "work",
        "leaf",
        "/bin/app",
        "b1d",
        "pid",
        "span_id",
        "s",
    ];
    let label = |key, text, num| [number(1, key), number(2, text), number(3, num)].concat();
    let sample = [
        bytes(1, &[1, u8::try_from(location_id).unwrap()]),
        bytes(2, &[30]),
        bytes(3, &label(8, 0, 42)),
        bytes(3, &label(9, 10, 0)),
    ];
    let line = |function| bytes(4, &[number(1, function), number(2, 7)].concat());
    let location =
        |id, lines: Vec<u8>| [number(1, id), number(2, 1), number(3, 0x1010 + id), lines].concat();
    let function =
        |id, name| [number(1, id), number(2, name), number(3, name), number(4, 6)].concat();
    let mapping = [number(1, 1), number(2, 0x1000), number(3, 0x2000), number(5, 6), number(6, 7)];
    [
        bytes(1, &[number(1, 1), number(2, 2)].concat()),
        bytes(2, &sample.concat()),
        bytes(3, &mapping.concat()),
        bytes(4, &location(1, [line(3), line(2)].concat())),
        bytes(4, &location(2, line(1))),
        bytes(5, &function(1, 3)),
        bytes(5, &function(2, 4)),
        bytes(5, &function(3, 5)),
        strings.iter().flat_map(|text| bytes(6, text.as_bytes())).collect(),
        number(9, time_ns),
        bytes(11, &[number(1, 1), number(2, 2)].concat()),
        number(12, 10),
    ]
    .concat()
}

fn push_body(profiles: &[Vec<u8>]) -> Vec<u8> {
    let label = |name: &str, value: &str| {
        bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value.as_bytes())].concat())
    };
    let samples = profiles.iter().map(|profile| bytes(2, &bytes(1, profile)));
    let labels = [label("__name__", "process_cpu"), label("service_name", "web")];
    bytes(1, &labels.into_iter().chain(samples).collect::<Vec<_>>().concat())
}

#[test]
fn a_profile_is_taken_apart_into_names_addresses_and_labels() {
    let profiles = decode_pprof(&gzip(&pprof_at(2, 5_000_000_000))).unwrap();
    let [profile] = &profiles[..] else { panic!("one sample type, one profile") };
    assert_eq!(profile.profile_type.to_string(), "process_cpu:cpu:nanoseconds:cpu:nanoseconds");
    assert_eq!((profile.period, profile.start_unix_ms), (10, 5000));
    let sample = &profile.samples[0];
    let names = |at: &u32| -> Vec<String> {
        let frames = &profile.locations[*at as usize].frames;
        frames.iter().map(|frame| profile.frames[*frame as usize].name.to_string()).collect()
    };
    let stack: Vec<_> = sample.stack.iter().map(names).collect();
    assert_eq!(
        (stack, sample.value),
        (vec![vec!["leaf".into(), "work".into()], vec!["main".into()]], 30)
    );
    let leaf = &profile.locations[sample.stack[0] as usize];
    assert_eq!((leaf.address, &*leaf.binary, &*leaf.build_id), (0x11, "/bin/app", "b1d"));
    assert_eq!(profile.series[0].get("pid").map(|pid| &**pid), Some("42"));
    assert_eq!(profile.series[0].get("span_id"), None);
}

#[test]
fn ids_that_name_nothing_are_refused_with_their_place() {
    let message = decode_pprof(&pprof_at(9, 1)).unwrap_err().to_string();
    assert_eq!(message, "sample 0 names location 9, which the profile does not have");
    let mut no_string = pprof_at(2, 1);
    no_string.extend(bytes(1, &number(1, 99)));
    assert!(decode_pprof(&no_string).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn mutated_requests_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let folded = b"main;work;leaf 3\n\nmain;operator new (x) 2\r\n".to_vec();
        let multipart = multipart_body(&pprof_at(2, 1));
        for whole in [pprof_at(2, 1), push_body(&[pprof_at(2, 1)]), folded, multipart] {
            let mut mutated = whole.clone();
            for (at, byte) in &edits {
                let at = at.index(mutated.len());
                mutated[at] = *byte;
            }
            mutated.truncate(whole.len() - cut.index(whole.len()) / 8);
            drop(decode_pprof(&mutated));
            drop(decode_push(&mutated, false));
            drop(decode_push(&mutated, true));
            drop(decode_ingest(&mutated, false));
            drop(decode_ingest(&mutated, true));
        }
    }
}

struct Home {
    store: Store,
    router: axum::Router,
    _folder: tempfile::TempDir,
}

async fn home() -> Home {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    let store = Store::open(StoreSettings { data_dir, ..StoreSettings::default() }).await.unwrap();
    let router = routes(store.clone(), Limits::default(), IngestMetrics::default());
    Home { store, router, _folder: folder }
}

impl Home {
    async fn post(&self, path: &str, content_type: &str, body: Vec<u8>) -> (StatusCode, String) {
        let request = Request::post(path).header("content-type", content_type);
        let request = request.body(Body::from(body)).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    async fn total(&self) -> i64 {
        let all = Select {
            profile_type: None,
            matchers: Vec::new(),
            from_unix_ms: 0,
            until_unix_ms: i64::MAX,
        };
        self.store.merge(&all).await.unwrap().stacks.iter().map(|(_, value)| value).sum()
    }
}

const PUSH: &str = "/push.v1.PusherService/Push";

#[tokio::test]
async fn a_push_is_stored_once_however_often_it_is_sent() {
    let home = home().await;
    let body = push_body(&[gzip(&pprof_at(2, now_ns()))]);
    for _ in 0..3 {
        let (status, answer) = home.post(PUSH, "application/proto", body.clone()).await;
        assert_eq!((status, answer.as_str()), (StatusCode::OK, ""));
    }
    assert_eq!(home.total().await, 30);
}

#[tokio::test]
async fn one_bad_profile_refuses_its_push_whole_in_connects_words() {
    let home = home().await;
    let body = push_body(&[pprof_at(2, now_ns()), pprof_at(9, now_ns())]);
    let (status, answer) = home.post(PUSH, "application/proto", body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["code"], "invalid_argument");
    assert!(answer["message"].as_str().unwrap().contains("location 9"), "{answer}");
    assert_eq!(home.total().await, 0);
}

#[tokio::test]
async fn json_pushes_are_answered_in_json() {
    use base64::Engine;
    let home = home().await;
    let profile = base64::engine::general_purpose::STANDARD.encode(gzip(&pprof_at(2, now_ns())));
    let body = serde_json::json!({"series": [{
        "labels": [{"name": "service_name", "value": "web"}],
        "samples": [{"rawProfile": profile, "ID": "x"}],
    }]});
    let (status, answer) = home.post(PUSH, "application/json", body.to_string().into_bytes()).await;
    assert_eq!((status, answer.as_str()), (StatusCode::OK, "{}"));
    assert_eq!(home.total().await, 30);
}

#[tokio::test]
async fn ingest_takes_folded_text_raw_pprof_and_multipart_pprof() {
    let home = home().await;
    let folded = b"main;work 2\n".to_vec();
    let now = now_ns();
    for (path, kind, body) in [
        ("/ingest?name=a%7Bx=y%7D&sampleRate=100".to_owned(), "text/plain", folded),
        (
            "/pyroscope/ingest?name=b&format=pprof".to_owned(),
            "application/octet-stream",
            gzip(&pprof_at(2, now)),
        ),
        (
            format!("/ingest?name=c&from={now}"),
            "multipart/form-data; boundary=x",
            multipart_body(&pprof_at(2, now + 1)),
        ),
    ] {
        let (status, answer) = home.post(&path, kind, body).await;
        assert_eq!((status, answer.as_str()), (StatusCode::OK, ""), "{path}");
    }
    assert_eq!(home.total().await, 20_000_000 + 30 + 30);
}

fn multipart_body(profile: &[u8]) -> Vec<u8> {
    let head =
        b"--x\r\nContent-Disposition: form-data; name=\"profile\"; filename=\"p.pprof\"\r\n\r\n";
    [&head[..], profile, b"\r\n--x--\r\n"].concat()
}

#[tokio::test]
async fn what_is_not_accepted_is_refused_with_a_reason() {
    let home = home().await;
    let huge = vec![0; (16 << 20) + 1];
    let bomb = gzip(&vec![0; 65 << 20]);
    let future = pprof_at(2, now_ns() + 3_600_000_000_000);
    for (path, kind, body, status, reason) in [
        (PUSH, "text/plain", vec![], 415, "application/proto"),
        (PUSH, "application/proto", huge, 413, "16777216"),
        (PUSH, "application/proto", push_body(&[bomb]), 413, "67108864"),
        (
            PUSH,
            "application/proto",
            push_body(&[gzip(&pprof_at(2, 1))[..40].to_vec()]),
            400,
            "gzip",
        ),
        (PUSH, "application/proto", push_body(&[pprof_at(2, 1)]), 400, "older"),
        (PUSH, "application/proto", push_body(&[future]), 400, "future"),
        ("/ingest?name=a&format=jfr", "application/octet-stream", vec![1], 415, "pprof"),
        ("/ingest?name=a&from=yesterday", "text/plain", b"a 1".to_vec(), 400, "from"),
        ("/ingest?name=a%7Bb=c%0Ad%7D", "text/plain", b"a 1".to_vec(), 400, "control"),
        ("/ingest?name=a", "text/plain", b"no count".to_vec(), 400, "line 1"),
    ] {
        let (got, answer) = home.post(path, kind, body).await;
        assert_eq!(got.as_u16(), status, "{path}: {answer}");
        assert!(answer.contains(reason), "{path}: {answer}");
    }
    assert_eq!(home.total().await, 0);
}
