//! Any bytes as a pprof message: decoded or refused, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    drop(sonde_collector::ingest::fuzz::decode_pprof(bytes));
});
