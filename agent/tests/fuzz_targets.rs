//! The fuzz targets as tests: compiled with everything else, so that they fit what they call, and
//! run over a few inputs each. Fuzzing itself needs a compiler and a library that not everybody has.

extern crate self as libfuzzer_sys;

use std::io::Read as _;

mod in_place_of_libfuzzer {
    /// A test of a fuzz target.
    #[macro_export]
    macro_rules! fuzz_target {
        (|$bytes:ident: &[u8]| $body:block) => {
            #[test]
            fn takes_any_bytes() {
                let target = |$bytes: &[u8]| $body;
                $crate::inputs().iter().for_each(|input| target(input));
            }
        };
    }
}

/// Nothing, bytes of no format, and the beginning of a program.
fn inputs() -> [Vec<u8>; 4] {
    let own = std::env::current_exe().expect("known");
    let own = std::fs::File::open(own).expect("readable");
    let mut head = Vec::new();
    own.take(256 << 10).read_to_end(&mut head).expect("readable");
    [Vec::new(), vec![0; 4096], (0..=255).cycle().take(4096).collect(), head]
}

macro_rules! targets {
    ($($path:literal $name:ident)*) => {
        $(
            #[path = $path]
            #[expect(unused_attributes, reason = "a fuzz target has no main function")]
            mod $name;
        )*

        const TARGETS: &[&str] = &[$(stringify!($name)),*];
    };
}

targets! {
    "../fuzz/fuzz_targets/elf.rs" elf
    "../fuzz/fuzz_targets/http.rs" http
    "../fuzz/fuzz_targets/jit_dump.rs" jit_dump
    "../fuzz/fuzz_targets/perf_map.rs" perf_map
    "../fuzz/fuzz_targets/record.rs" record
    "../fuzz/fuzz_targets/unwind_tables.rs" unwind_tables
    "../fuzz/fuzz_targets/unwind_walk.rs" unwind_walk
}

#[test]
fn no_fuzz_target_is_left_out() {
    // Of the checkout that cargo runs in: two may share a target folder, and with it this test.
    let files = std::fs::read_dir("fuzz/fuzz_targets")
        .expect("there")
        .map(|file| file.expect("readable").path());
    let mut names: Vec<_> =
        files.filter_map(|path| path.file_stem()?.to_str().map(str::to_owned)).collect();
    names.sort_unstable();
    assert_eq!(names, TARGETS);
}
