//! Any bytes as an OTLP request of traces or metrics, as protobuf and as JSON: decoded or refused,
//! never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for json in [false, true] {
        drop(sonde_collector::ingest::fuzz::decode_otlp(bytes, json));
    }
});
