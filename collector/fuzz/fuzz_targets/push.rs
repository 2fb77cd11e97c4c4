//! Any bytes as a push request, as protobuf and as JSON: decoded or refused, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    drop(sonde_collector::ingest::fuzz::decode_push(bytes, false));
    drop(sonde_collector::ingest::fuzz::decode_push(bytes, true));
});
