//! Stacks of programs without frame pointers are whole, exact, and in their true shares: by every
//! linker, through libraries, signals, exceptions and threads.

use std::ffi::OsStr;
use std::fs;

use anyhow::Result;
use sonde_tests::folded::{self, Chain, Stack};
use sonde_tests::record;
use sonde_tests::workload::program;
use tempfile::TempDir;

/// Where threads begin, as C libraries and Go name it.
const STARTS: [&str; 7] =
    ["_start", "clone3", "__clone3", "start_thread", "__clone", "runtime.goexit", "runtime.clone"];
const FREQUENCY: &str = "499";

/// A recording of a command: its stacks, and the chains that it declared.
struct Recording {
    stacks: Vec<Stack>,
    chains: Vec<Chain>,
    /// What the agent said, for a failure's message.
    said: String,
}

impl Recording {
    fn of(words: &[&OsStr]) -> Result<Self> {
        let folder = TempDir::new()?;
        let file = folder.path().join("out.folded");
        let options = ["--frequency", FREQUENCY, "-o"].map(OsStr::new);
        let options = options.into_iter().chain([file.as_os_str(), OsStr::new("--")]);
        let output = record(options.chain(words.iter().copied()))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "{said}");
        let stacks = folded::read(&fs::read_to_string(&file)?)?;
        let chains = folded::chains(&String::from_utf8_lossy(&output.stdout))?;
        Ok(Self { stacks, chains, said })
    }

    fn count(&self, wanted: impl Fn(&[String]) -> bool) -> u64 {
        self.stacks.iter().filter(|stack| wanted(&stack.user)).map(|stack| stack.count).sum()
    }

    /// Stacks that are not as they should be, for a failure's message.
    fn others(&self, wanted: impl Fn(&[String]) -> bool) -> String {
        let others = self.stacks.iter().filter(|stack| !wanted(&stack.user)).take(12);
        let shown = others.map(|stack| {
            let last = stack.user.len().saturating_sub(4);
            format!(
                "{} of {} frames: … {}",
                stack.count,
                stack.user.len(),
                stack.user[last..].join(";")
            )
        });
        format!("{}\n{}", shown.collect::<Vec<_>>().join("\n"), self.said)
    }

    /// At least this share of the samples reaches its thread's start.
    #[track_caller]
    fn reaches_the_start(&self, percent: f64) {
        let reaches = |user: &[String]| {
            // In exec the thread has no user space yet, or no longer.
            user.first().is_none_or(|frame| STARTS.contains(&frame.as_str()))
        };
        let (good, all) = (self.count(reaches), self.count(|_| true));
        let found = 100.0 * precise(good) / precise(all);
        assert!(found >= percent, "{found:.2} % of {all} reach it, not:\n{}", self.others(reaches));
    }

    /// The frames of each chain are exact, and in `whole` percent of its samples it is whole.
    #[track_caller]
    fn is_exact(&self, whole: impl Fn(&str) -> f64) {
        for chain in &self.chains {
            let all = self.count(|user| chain.has(user));
            let begun = |user: &[String]| !chain.has(user) || chain.is_begun(user);
            let wrong = self.count(|user| !begun(user));
            let name = &chain.name;
            assert!(
                wrong * 200 <= all && all > 0,
                "{name}: {wrong}/{all}:\n{}",
                self.others(begun)
            );
            let is_whole = self.count(|user| chain.is_whole(user));
            let found = 100.0 * precise(is_whole) / precise(all);
            let not = self.others(|user| !chain.has(user) || chain.is_whole(user));
            assert!(found >= whole(name), "{name}: {found:.1} % of {all} are whole, not:\n{not}");
        }
    }

    /// Each chain has the share that it used, within `points`.
    #[track_caller]
    fn has_true_shares(&self, points: f64) {
        let used: u64 = self.chains.iter().map(|chain| chain.used).sum();
        let all = self.count(|user| self.chains.iter().any(|chain| chain.has(user)));
        for chain in &self.chains {
            let expected = 100.0 * precise(chain.used) / precise(used);
            let found = 100.0 * precise(self.count(|user| chain.has(user))) / precise(all);
            let off = (found - expected).abs();
            assert!(off <= points, "{}: {found:.2} % of {all}, used {expected:.2} %", chain.name);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of samples are small")]
fn precise(count: u64) -> f64 {
    count as f64
}

/// Records a build of `chains.c` that opens libraries.
fn with_libraries(name: &str, seconds: &str) -> Recording {
    let [chains, plugin, late] = [name, "plugin.so", "late.so"].map(|name| program(name).unwrap());
    let words = [chains.as_os_str(), seconds.as_ref(), plugin.as_os_str(), late.as_os_str()];
    Recording::of(&words).unwrap()
}

fn alone(name: &str, seconds: &str) -> Recording {
    Recording::of(&[program(name).unwrap().as_os_str(), seconds.as_ref()]).unwrap()
}

/// A handler has half the time of its chain; the way down a chain of 900 takes a little.
fn most(chain: &str) -> f64 {
    if chain == "signal" { 35.0 } else { 97.0 }
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
