//! Any bytes as a perf map, in two pieces: the result does not depend on where they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sonde_agent::symbol::perf_map::PerfMap;

fuzz_target!(|bytes: &[u8]| {
    let (mut whole, mut pieces) = (PerfMap::default(), PerfMap::default());
    whole.append(bytes);
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    pieces.append(head);
    pieces.append(tail);
    assert_eq!(whole.len(), pieces.len());
    for address in [0, 0x100, u64::MAX] {
        assert_eq!(whole.symbolize(address), pieces.symbolize(address));
    }
});
