//! Any bytes as a page of an unwind table, and as the registers and the stack that it is asked about.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sonde_agent::unwind::try_walk;

fuzz_target!(|bytes: &[u8]| {
    let _ = try_walk(bytes);
});
