//! The fuzz targets as tests: compiled with everything else, so that they fit what they call, and
//! run over a few inputs each. Fuzzing itself needs a compiler and a library that not everybody has.

extern crate self as libfuzzer_sys;

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

/// Nothing, and bytes of no format.
fn inputs() -> [Vec<u8>; 3] {
    [Vec::new(), vec![0; 4096], (0..=255).cycle().take(4096).collect()]
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
    "../fuzz/fuzz_targets/ingest.rs" ingest
    "../fuzz/fuzz_targets/otlp.rs" otlp
    "../fuzz/fuzz_targets/pprof.rs" pprof
    "../fuzz/fuzz_targets/push.rs" push
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
