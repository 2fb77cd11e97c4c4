//! Pyroscope's own Go SDK against the collector: a service that is instrumented already keeps its
//! instrumentation.

use std::process::Command;

use sonde_tests::collector::Collector;
use sonde_tests::http;
use sonde_tests::workload::program;
use tempfile::TempDir;

#[test]
fn what_pyroscope_s_go_sdk_pushes_is_stored_by_service_label_and_kind() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path()).unwrap();
    let sdk = Command::new(program("sdk").unwrap()).args([&collector.url(), "4"]).output().unwrap();
    let said = String::from_utf8_lossy(&sdk.stdout);
    assert!(sdk.status.success(), "{said}{}", String::from_utf8_lossy(&sdk.stderr));
    assert!(said.starts_with("taken ") && said.contains(" refused 0 "), "{said}");

    // Four seconds on one core, less what others took of it; the SDK samples at 100 Hz.
    let top = collector.top(r#"{service_name="sdk",region="north"}"#).unwrap();
    assert!((1.0..6.0).contains(&top.seconds()), "{} s: {:?}", top.seconds(), top.names());
    assert!(top.share("main.burn") > 90.0, "{} %: {:?}", top.share("main.burn"), top.names());
    let types = http::get(collector.port, "/api/v1/profile/types").unwrap().text();
    for kind in
        ["process_cpu:cpu:nanoseconds", "memory:alloc_space:bytes", "memory:inuse_space:bytes"]
    {
        assert!(types.contains(kind), "no {kind} among {types}");
    }
}
