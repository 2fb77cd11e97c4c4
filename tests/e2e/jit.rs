//! Code that is made at run time has names: Node.js's functions, with file and line.
#![expect(clippy::print_stdout, reason = "figures are part of what a run shows")]

use std::fs;
use std::ops::RangeInclusive;

use sonde_tests::pprof::{Profile, Source};
use sonde_tests::{pprof, record};
use tempfile::TempDir;

/// `outer` calls `inner`, whose loop is on lines 3 and 4.
const SCRIPT: &str = "\
function inner(n) {
  let s = 0;
  for (let i = 0; i < n; i++)
    s += Math.sqrt(i) % 7;
  return s;
}
function outer(n) {
  let s = 0;
  for (let i = 0; i < n; i++) s += inner(2000 + i % 2);
  return s;
}
const end = Date.now() + 3000;
let sum = 0;
while (Date.now() < end) sum += outer(200);
if (sum < 0) throw sum;
";

/// `three` does three times what `one` does, in a loop of its own that is the same. At the end it says
/// what percentage of their CPU time was `three`'s. Every round has another length: rounds of one length
/// would beat with the sampler's fixed period, and shares would drift by more than chance.
const SHARES: &str = "\
function three(n) { let s = 0; for (let i = 0; i < 3 * n; i++) s += Math.sqrt(i) % 7; return s; }
function one(n) { let s = 0; for (let i = 0; i < n; i++) s += Math.sqrt(i) % 7; return s; }
const used = () => { const { user, system } = process.cpuUsage(); return user + system; };
const end = Date.now() + 4000;
let sum = 0, threes = 0, all = 0;
while (Date.now() < end) {
  const n = 10000 + 20000 * Math.random();
  const began = used();
  sum += three(n);
  const between = used();
  sum += one(n);
  threes += between - began;
  all += used() - began;
}
if (sum < 0) throw sum;
console.log(100 * threes / all);
";

/// Records the script under Node.js with an option; the profile and what the agent said.
fn profile(option: &str) -> (Profile, String) {
    let (profile, said, _) = profile_of(SCRIPT, option);
    (profile, said)
}

/// The same for another script; also what that wrote.
fn profile_of(script: &str, option: &str) -> (Profile, String, String) {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("busy.js"), script).unwrap();
    let here = folder.path().to_str().unwrap().to_owned();
    let words = ["--frequency", "499", "-o", &path("out.pb.gz"), "--", "env", "-C", &here];
    let output =
        record(words.into_iter().chain(["node", "--no-turbo-inlining", option, "busy.js"]))
            .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "is Node.js here? {said}");
    let wrote = String::from_utf8_lossy(&output.stdout).into_owned();
    (pprof::read(path("out.pb.gz").as_ref()).unwrap(), said, wrote)
}

#[test]
fn functions_of_a_jitdump_have_names_files_and_lines() {
    let (profile, said) = profile("--perf-prof");
    let [inner, outer] = ["inner", "outer"].map(|name| profile.share(name).unwrap());
    assert!(outer > 80.0 && inner > 80.0, "inner {inner:.1} %, outer {outer:.1} %: {said}");
    let sources = profile.leaf_sources().unwrap();
    let in_script = |source: &&Source<'_>| {
        ["inner", "outer"].contains(&source.function) && source.file.ends_with("/busy.js")
    };
    let sum = |lines: RangeInclusive<i64>| -> i64 {
        let of_lines = sources.iter().filter(in_script).filter(|s| lines.contains(&s.line));
        of_lines.map(|source| source.value).sum()
    };
    let all: i64 = sources.iter().map(|source| source.value).sum();
    assert!(sum(1..=14) * 10 > all * 8, "of {all} have a line of the script: {sources:#?}");
    assert!(sum(3..=4) * 10 > all * 6, "of {all} are in the loop of `inner`: {sources:#?}");
}

#[test]
fn functions_of_a_perf_map_have_the_names_of_their_source() {
    let (profile, said) = profile("--perf-basic-prof");
    let outer = profile.share("outer").unwrap();
    assert!(outer > 80.0, "outer {outer:.1} %: {said}");
}

#[test]
fn functions_made_at_run_time_have_their_true_shares() {
    for option in ["--perf-prof", "--perf-basic-prof"] {
        let (profile, said, wrote) = profile_of(SHARES, option);
        let [three, one] = ["three", "one"].map(|name| profile.share(name).unwrap());
        let (found, used) = (100.0 * three / (three + one), wrote.trim().parse::<f64>().unwrap());
        println!("{option}: {found:.1} % are `three`'s, used {used:.1} %; {said}");
        assert!(three + one > 85.0, "{option}: three {three:.1} %, one {one:.1} %: {said}");
        // Some 1,500 samples on a machine that does other things too: 5 points are 4.4 sigmas.
        assert!((found - used).abs() < 5.0, "{option}: {found:.1} %, used {used:.1} %: {said}");
    }
}

#[test]
fn without_either_the_frames_say_what_is_missing() {
    let (profile, said) = profile("--no-perf-prof");
    let without = profile.share("[jit without perf map]").unwrap();
    assert!(without > 80.0, "{without:.1} %: {said}");
}
