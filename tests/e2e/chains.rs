//! Stacks of programs without frame pointers are whole, exact, and in their true shares: by every
//! linker, through libraries, signals, exceptions and threads.

use std::ffi::OsStr;

use sonde_tests::mounts::Overlay;
use sonde_tests::recording::Recording;
use sonde_tests::workload::program;
use tempfile::TempDir;

const FREQUENCY: u32 = 499;

/// Records a build of `chains.c` that opens libraries.
fn with_libraries(name: &str, seconds: &str) -> Recording {
    let [chains, plugin, late] = [name, "plugin.so", "late.so"].map(|name| program(name).unwrap());
    let words = [chains.as_os_str(), seconds.as_ref(), plugin.as_os_str(), late.as_os_str()];
    Recording::of(FREQUENCY, &words).unwrap()
}

fn alone(name: &str, seconds: &str) -> Recording {
    let program = program(name).unwrap();
    Recording::of(FREQUENCY, &[program.as_os_str(), seconds.as_ref()]).unwrap()
}

/// A handler has half the time of its chain; a loop that asks for the time has a few percent itself;
/// the way down a chain of 900 takes a little.
fn most(chain: &str) -> f64 {
    match chain {
        "signal" => 35.0,
        "clocks" | "copies" => 85.0,
        _ => 97.0,
    }
}

#[test]
fn known_chains_are_whole_exact_and_in_their_true_shares() {
    let recording = with_libraries("chains", "10");
    recording.reaches_the_start(99.5);
    recording.is_exact(most);
    // A chain has about 1/12 of the 4,990 samples of 10 s of CPU time: 2 points are 4.9 sigmas.
    recording.has_true_shares(2.0);
}

#[test]
fn every_linker_s_programs_have_exact_chains() {
    for name in ["chains-gold", "chains-lld", "chains-no-pie"] {
        let recording = with_libraries(name, "6");
        recording.reaches_the_start(99.5);
        recording.is_exact(most);
    }
}

#[test]
fn static_programs_have_exact_chains() {
    for name in ["chains-static", "chains-static-pie"] {
        let recording = alone(name, "6");
        recording.reaches_the_start(99.5);
        recording.is_exact(most);
    }
}

#[test]
fn programs_without_tables_have_exact_chains() {
    let recording = with_libraries("chains-no-tables", "6");
    recording.reaches_the_start(99.5);
    recording.is_exact(most);
}

#[test]
fn musl_which_has_no_tables_has_exact_chains() {
    for name in ["chains-musl", "chains-musl-static"] {
        let recording = alone(name, "6");
        recording.reaches_the_start(99.5);
        recording.is_exact(most);
    }
}

#[test]
fn a_container_s_file_system_has_exact_chains_also_when_it_is_gone() {
    let folder = TempDir::new().unwrap();
    let overlay = Overlay::mount(folder.path(), &program("chains-static").unwrap()).unwrap();
    let script = "\"$1\" \"$2\" & sleep 0.3; rm \"$1\"; wait";
    let words = ["sh".as_ref(), "-c".as_ref(), script.as_ref(), "sh".as_ref()];
    let words = words.into_iter().chain([overlay.program.as_os_str(), OsStr::new("6")]);
    let recording = Recording::of(FREQUENCY, &words.collect::<Vec<&OsStr>>()).unwrap();
    recording.reaches_the_start(99.5);
    recording.is_exact(most);
}

#[test]
fn exceptions_are_seen_from_main_to_the_unwinder() {
    let recording = alone("throws", "10");
    recording.reaches_the_start(99.5);
    recording.is_exact(most);
    // A chain has a third of 4,990 samples: 2 points are 3 sigmas.
    recording.has_true_shares(2.0);
}

#[test]
fn rust_without_frame_pointers_has_its_chain() {
    let recording = alone("rusty", "5");
    recording.reaches_the_start(99.5);
    recording.is_exact(|_| 97.0);
}

#[test]
fn go_has_its_chain_from_goexit_on() {
    let recording = alone("gopher", "6");
    // The scheduler's own stacks begin at `runtime.mcall`.
    recording.reaches_the_start(98.0);
    recording.is_exact(|_| 97.0);
}
