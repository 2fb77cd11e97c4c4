//! A full disk under the collector: new profiles are refused for a while, nothing stored is lost,
//! questions are answered, and room brings everything back without a restart.

use std::fs;
use std::time::Duration;

use sonde_tests::collector::Collector;
use sonde_tests::http::Answer;
use sonde_tests::mounts::Tmpfs;
use sonde_tests::push::{now_ns, profile, send, service_body};
use sonde_tests::wait_until;
use tempfile::TempDir;

const VALUE: i64 = 1_000_000;

fn push(collector: &Collector, number: u64) -> Answer {
    let body = service_body("full", &profile(&format!("f{number}"), VALUE, now_ns())).unwrap();
    send(collector.port, &body).unwrap()
}

fn total(collector: &Collector) -> i64 {
    collector.service("full").unwrap().total_ns
}

#[test]
fn a_full_disk_refuses_pushes_for_a_while_and_keeps_answering() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let disk = Tmpfs::mount(&data, 8 << 20).unwrap();
    let mut collector = Collector::start(folder.path()).unwrap();
    assert_eq!(push(&collector, 0).status, 200);

    let ballast = data.join("ballast");
    let filled = fs::write(&ballast, vec![0_u8; 16 << 20]);
    assert!(filled.is_err(), "the disk is full now");
    let mut stored = 1;
    let mut numbers = 1..10_000;
    let refused = loop {
        let answer = push(&collector, numbers.next().unwrap());
        if answer.status != 200 {
            break answer;
        }
        stored += 1;
    };
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.head.to_ascii_lowercase().contains("\nretry-after: "), "{}", refused.head);
    assert!(refused.text().contains("no space left"), "{}", refused.text());
    assert_eq!(total(&collector), stored * VALUE, "what was acknowledged is answered");

    fs::remove_file(&ballast).unwrap();
    let taken = || push(&collector, numbers.next().unwrap()).status == 200;
    wait_until("a push to be taken again", Duration::from_secs(20), taken).unwrap();
    stored += 1;
    assert_eq!(total(&collector), stored * VALUE);

    // A stop on a full disk leaves in the log what it cannot write elsewhere.
    assert!(fs::write(&ballast, vec![0_u8; 16 << 20]).is_err());
    collector.process.stop(libc::SIGTERM).unwrap();
    fs::remove_file(&ballast).unwrap();
    let collector = Collector::start(folder.path()).unwrap();
    assert_eq!(total(&collector), stored * VALUE, "also after a restart");
    drop(collector);
    drop(disk);
}
