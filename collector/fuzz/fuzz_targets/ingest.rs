//! Any bytes as a body of `/ingest`, folded text or multipart: decoded or refused, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    drop(sonde_collector::ingest::fuzz::decode_ingest(bytes, false));
    drop(sonde_collector::ingest::fuzz::decode_ingest(bytes, true));
});
