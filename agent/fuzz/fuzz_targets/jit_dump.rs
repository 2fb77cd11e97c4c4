//! Any bytes behind the header of a jitdump, written in two pieces: reading bounds what it does, and
//! what it found does not depend on where the file ended when it was first read.
#![no_main]

use std::io::Write as _;

use libfuzzer_sys::fuzz_target;
use sonde_agent::symbol::jit_dump::JitDump;

fn header() -> Vec<u8> {
    let words = [0x4a69_5444, 1, 40, 62, 0xdead_beef, 7, 0, 0, 0, 0_u32];
    words.into_iter().flat_map(u32::to_ne_bytes).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut written) = tempfile::NamedTempFile::new() else { return };
    let Ok(again) = written.reopen() else { return };
    let mut pieces = JitDump::new(again);
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    let mut errors = Vec::new();
    for piece in [&header()[..], head, tail] {
        if written.write_all(piece).is_err() {
            return;
        }
        errors.push(pieces.update().is_err());
    }
    let Ok(again) = written.reopen() else { return };
    let mut whole = JitDump::new(again);
    let error = whole.update().is_err();
    assert_eq!(errors.last(), Some(&error));
    assert_eq!(whole.len(), pieces.len());
    for address in [0, 0x100, u64::MAX] {
        assert_eq!(whole.symbolize(address), pieces.symbolize(address));
    }
});
