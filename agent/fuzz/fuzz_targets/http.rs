//! Any bytes as what a connection carries: as calls of all kinds, some of them lost, or as two
//! streams whose exchanges must not depend on where calls end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sonde_agent::http::{try_calls, try_cuts};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let found = if kind & 1 == 0 { try_calls(rest) } else { try_cuts(rest) };
    assert!(found.exchanges.len() <= bytes.len());
});
