//! Bad input to the collector: refused with a 4xx and a reason, in bounded memory, and nothing else
//! is lost by it.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;
use sonde_tests::collector::Collector;
use sonde_tests::http::{self, Answer};
use sonde_tests::push::{PATH, body, gzipped, now_ns, profile, send, service_body};
use tempfile::TempDir;

const LABELS: [(&str, &str); 2] = [("__name__", "process_cpu"), ("service_name", "bad")];
/// What the collector may grow by while it refuses.
const GROWTH_KB: u64 = 200_000;

#[track_caller]
fn refused(what: &str, answer: &Answer) {
    assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
    assert!(answer.body.len() > 20, "{what}: no reason in {:?}", answer.text());
}

fn bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let zeroes = vec![0_u8; 1 << 20];
    for _ in 0..2_000 {
        encoder.write_all(&zeroes).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn bad_pushes_are_refused_with_a_reason_and_good_ones_stay() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path()).unwrap();
    let good = profile("kept", 5_000_000, now_ns());
    assert_eq!(send(collector.port, &service_body("good", &good).unwrap()).unwrap().status, 200);
    let before = collector.process.resident_kb();
    let push = |what: &str, raw: Vec<u8>| {
        refused(what, &send(collector.port, &body(&LABELS, raw)).unwrap());
    };

    let packed = gzipped(&good.encode_to_vec()).unwrap();
    push("truncated gzip", packed[..packed.len() / 2].to_vec());
    push("gzip bomb", bomb());
    push("noise", (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect());
    let mut wrong = good.clone();
    wrong.sample[0].location_id = vec![1, 999];
    push("location id out of range", gzipped(&wrong.encode_to_vec()).unwrap());
    let mut wrong = good.clone();
    wrong.function[0].name = 1_000_000;
    push("string index out of range", gzipped(&wrong.encode_to_vec()).unwrap());
    let mut wrong = good.clone();
    wrong.sample[0].value = vec![1, 2, 3];
    push("more values than types", gzipped(&wrong.encode_to_vec()).unwrap());

    let labelled = |value: &str| body(&[LABELS[0], ("service_name", value)], packed.clone());
    let send_labelled = |value: &str| send(collector.port, &labelled(value)).unwrap();
    refused("newline in a label", &send_labelled("a\nb"));
    refused("1 MB label", &send_labelled(&"x".repeat(1 << 20)));
    let text = [("Content-Type", "text/html")];
    refused("wrong content type", &http::post(collector.port, PATH, &text, b"<p>").unwrap());
    let proto = [("Content-Type", "application/proto")];
    let large = vec![0x0a_u8; 100 << 20];
    refused("100 MB body", &http::post(collector.port, PATH, &proto, &large).unwrap());

    let grown = collector.process.resident_kb().saturating_sub(before);
    assert!(grown < GROWTH_KB, "grew by {grown} kB");
    assert_eq!(collector.service("good").unwrap().total_ns, 5_000_000);
    assert_eq!(collector.service("bad").unwrap().total_ns, 0);
}

#[test]
fn bad_queries_are_refused_with_a_reason() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path()).unwrap();
    for query in ["selector=%7B", "from=yesterday", "selector=%7Ba%3D~%22(%22%7D", "limit=-1"] {
        let path = format!("/api/v1/profile/top?{query}");
        refused(query, &http::get(collector.port, &path).unwrap());
    }
    let long = format!("/api/v1/profile/top?selector={}", "x".repeat(200_000));
    if let Ok(answer) = http::get(collector.port, &long) {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    assert_eq!(http::get(collector.port, "/healthz").unwrap().status, 200);
}
