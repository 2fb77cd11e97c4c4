//! A recording of a command by `sonde-agent record`, held against the chains that it declared.

use std::ffi::OsStr;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::folded::{self, Chain, Stack, precise, reaches_the_start};
use crate::record;

/// A recording of a command: its stacks, and the chains that it declared.
pub struct Recording {
    /// What was sampled.
    pub stacks: Vec<Stack>,
    /// What the command declared.
    pub chains: Vec<Chain>,
    /// What the command wrote to its standard output.
    pub output: String,
    /// What the agent said, for a failure's message.
    pub said: String,
    frequency: u32,
}

impl Recording {
    /// Records a command for its life, at so many samples per second and CPU.
    ///
    /// # Errors
    /// When it fails, or what it or the agent wrote cannot be read.
    pub fn of(frequency: u32, words: &[&OsStr]) -> Result<Self> {
        Self::with(&[], frequency, words)
    }

    /// The same, with further options of `record`.
    ///
    /// # Errors
    /// As for [`Self::of`].
    pub fn with(more: &[&str], frequency: u32, words: &[&OsStr]) -> Result<Self> {
        let folder = TempDir::new()?;
        let file = folder.path().join("out.folded");
        let hertz = frequency.to_string();
        let options = ["--frequency", &hertz, "-o"].map(OsStr::new);
        let options = more.iter().map(OsStr::new).chain(options);
        let options = options.chain([file.as_os_str(), OsStr::new("--")]);
        let output = record(options.chain(words.iter().copied()))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "{said}");
        let stacks = folded::read(&fs::read_to_string(&file)?)?;
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        let chains = folded::chains(&output)?;
        Ok(Self { stacks, chains, output, said, frequency })
    }

    /// Samples whose frames, from the thread's start on, are as `wanted`.
    pub fn count(&self, wanted: impl Fn(&[String]) -> bool) -> u64 {
        self.stacks.iter().filter(|stack| wanted(&stack.user)).map(|stack| stack.count).sum()
    }

    /// So many samples, in percent of those that this much CPU time must have.
    #[must_use]
    pub fn yielded(&self, samples: u64, used: Duration) -> f64 {
        100.0 * precise(samples) / (used.as_secs_f64() * f64::from(self.frequency))
    }

    /// The CPU time that the command wrote behind `word`, in milliseconds.
    ///
    /// # Errors
    /// When there is no such line.
    pub fn told(&self, word: &str) -> Result<Duration> {
        let rest = |line: &str| -> Option<u64> { line.strip_prefix(word)?.trim().parse().ok() };
        let told = self.output.lines().find_map(rest);
        let told = told.with_context(|| format!("it did not tell its {word}: {}", self.output))?;
        Ok(Duration::from_millis(told))
    }

    /// Stacks that are not as they should be, most samples first, for a failure's message.
    #[must_use]
    pub fn others(&self, wanted: impl Fn(&[String]) -> bool) -> String {
        let mut others: Vec<&Stack> =
            self.stacks.iter().filter(|stack| !wanted(&stack.user)).collect();
        others.sort_by_key(|stack| std::cmp::Reverse(stack.count));
        let shown = others.iter().take(12).map(|stack| {
            let last = stack.user.len().saturating_sub(6);
            let (first, last) = (&stack.user[..last.min(3)], &stack.user[last..]);
            let (count, all) = (stack.count, stack.user.len());
            format!("{count} of {all} frames: {} … {}", first.join(";"), last.join(";"))
        });
        format!("{}\n{}", shown.collect::<Vec<_>>().join("\n"), self.said)
    }

    /// At least this share of the samples reaches its thread's start.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn reaches_the_start(&self, percent: f64) {
        let good = self.count(reaches_the_start);
        let all = self.count(|_| true);
        let found = 100.0 * precise(good) / precise(all);
        assert!(
            found >= percent,
            "{found:.2} % of {all} reach it, not:\n{}",
            self.others(reaches_the_start)
        );
    }

    /// The frames of each chain are exact, and in `whole` percent of its samples it is whole.
    ///
    /// # Panics
    /// When they are not.
    #[track_caller]
    pub fn is_exact(&self, whole: impl Fn(&str) -> f64) {
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
    ///
    /// # Panics
    /// When one has not.
    #[track_caller]
    pub fn has_true_shares(&self, points: f64) {
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
