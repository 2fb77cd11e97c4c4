//! Nothing is lost at the edges: processes that are gone at once or hardly run, that become other
//! programs, map ten thousand files, or make code at one address.
#![expect(clippy::print_stdout, reason = "figures are part of what a run shows")]

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use sonde_tests::folded::Stack;
use sonde_tests::process::cpu_of_children;
use sonde_tests::recording::Recording;
use sonde_tests::workload::program;

/// A sample about every millisecond, so that short lives have several.
const FREQUENCY: u32 = 997;

fn recorded(words: &[PathBuf], numbers: &[&str]) -> Recording {
    let words = words.iter().map(PathBuf::as_path).map(AsRef::as_ref);
    let numbers = numbers.iter().map(OsStr::new);
    Recording::of(FREQUENCY, &words.chain(numbers).collect::<Vec<&OsStr>>()).unwrap()
}

/// Samples of all processes are as many as their CPU time, and those of the one chain that is
/// declared are exact as often as was worked in it.
#[track_caller]
fn has_its_samples(recording: &Recording, used: Duration, credited: f64, exact: f64) {
    let [chain] = &recording.chains[..] else { panic!("one chain") };
    let in_chain = Duration::from_nanos(chain.used);
    let found = recording.yielded(recording.count(|_| true), used);
    let whole = recording.yielded(recording.count(|user| chain.is_whole(user)), in_chain);
    let begun = recording.yielded(recording.count(|user| chain.has(user)), in_chain);
    println!(
        "{}: {found:.1} % of {used:.2?} credited, {begun:.1} % of {in_chain:.2?} in the chain, \
         {whole:.1} % exact; {}",
        chain.name, recording.said
    );
    let others = || recording.others(|user| chain.is_whole(user));
    assert!(found >= credited && found <= 200.0 - credited, "{found:.1} %:\n{}", others());
    assert!(whole >= exact, "{whole:.1} % are exact, not:\n{}", others());
}

#[test]
fn processes_of_ten_milliseconds_have_all_their_samples_and_exact_stacks() {
    let programs = ["storm", "brief"].map(|name| program(name).unwrap());
    let recording = recorded(&programs, &["500"]);
    let children = recording.output.lines().last().unwrap().parse().unwrap();
    let used = recording.told("own").unwrap() + Duration::from_millis(children);
    // Some 5,500 samples. How many a process has differs by less than one from its CPU time, so the
    // sum of 500 by less than 0.5 × √500 = 11, which is 0.2 %: 5 % are 25 sigmas.
    has_its_samples(&recording, used, 95.0, 95.0);
}

#[test]
fn processes_that_hardly_run_have_all_their_samples() {
    let recording = recorded(&[program("quiet").unwrap()], &["200", "12"]);
    let used = recording.told("own").unwrap() + recording.told("children").unwrap();
    // Some 4,700 pieces of work of about 1 ms, each with a sample or not, by chance: at most a half
    // each, which makes 34 of 4,700 samples, 0.7 %: 3 % are 4 sigmas.
    has_its_samples(&recording, used, 97.0, 95.0);
}

#[test]
fn programs_that_replace_one_another_at_the_same_addresses_never_mix() {
    let programs = ["east", "west"].map(|name| program(name).unwrap());
    let recording = recorded(&programs, &["5"]);
    recording.is_exact(|_| 97.0);
    for stack in &recording.stacks {
        let other = if stack.service == "east" { "west_" } else { "east_" };
        assert!(!stack.user.iter().any(|frame| frame.contains(other)), "{stack:?}");
    }
    recording.reaches_the_start(98.5);
    println!("east and west: {}", recording.said);
    // What an exec has left behind is no program's stack.
    let in_exec = || recording.stacks.iter().filter(|stack| stack.in_exec);
    assert!(in_exec().any(|stack| stack.user.is_empty()), "{}", recording.said);
    let unmapped = |stack: &Stack| stack.user.iter().any(|frame| frame == "[no mapping]");
    assert!(!in_exec().any(unmapped), "{:?}", in_exec().find(|stack| unmapped(stack)));
}

/// Records a process that makes so many mappings, and says what that took.
fn mapped(count: &str) -> Recording {
    let words = [program("mapped").unwrap(), program("plugin.so").unwrap()];
    let before = cpu_of_children();
    let recording = recorded(&words, &[count, "4"]);
    let agent = (cpu_of_children() - before).saturating_sub(recording.told("own").unwrap());
    println!("{count} mappings: the agent used {agent:.2?} of CPU; {}", recording.said);
    recording
}

#[test]
fn ten_thousand_mappings_leave_stacks_exact() {
    mapped("0").is_exact(|_| 99.0);
    let many = mapped("10000");
    many.reaches_the_start(99.5);
    many.is_exact(|_| 97.0);
}

#[test]
fn code_that_moves_without_an_event_is_exact_from_its_first_sample_on() {
    // Each move has samples carry their stacks until the kernel side is told of it: at 997 Hz a busy
    // machine may be slow to empty the ring, which then has no room for stacks.
    let moved = program("moved").unwrap();
    let recording = Recording::of(199, &[moved.as_ref(), OsStr::new("6")]).unwrap();
    let [chain] = &recording.chains[..] else { panic!("one chain") };
    let other =
        recording.count(|user| !chain.is_whole(user) && user.iter().any(|f| f == "spin_moved"));
    let whole = recording.count(|user| chain.is_whole(user));
    println!("moved: {whole} are exact, {other} are not; {}", recording.said);
    // The code is at 24 places, one after the other: a sample lost at each would be 2 % of some 1,200.
    assert!(other * 100 <= whole, "{}", recording.others(|user| chain.is_whole(user)));
}

#[test]
fn code_made_at_one_address_in_several_processes_keeps_its_names_apart() {
    let jitted = program("jitted").unwrap();
    let line = "for kind in east west none; do \"$0\" $kind 3 & done; wait";
    let words = [OsStr::new("sh"), OsStr::new("-c"), OsStr::new(line), jitted.as_os_str()];
    let recording = Recording::of(FREQUENCY, &words).unwrap();
    recording.is_exact(|_| 97.0);
    for (mine, other) in [("run_east", "jit_west"), ("run_west", "jit_east"), ("run_none", "jit_")]
    {
        let has = |name: &str, user: &[String]| user.iter().any(|frame| frame.starts_with(name));
        let wrong = recording.count(|user| has(mine, user) && has(other, user));
        assert_eq!(wrong, 0, "{}", recording.others(|user| !(has(mine, user) && has(other, user))));
    }
}
