//! `cargo xtask test`: every kind of test, in the order of what they need, with one count at the end.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::command::{cargo, run as run_command, shown};
use crate::{browser, packages, place, setup, vm, workloads};

const KINDS: [&str; 4] = ["unit", "e2e", "browser", "vm"];

pub(crate) fn run(args: &[String]) -> Result<()> {
    let kinds: Vec<&str> = match args {
        [] => KINDS.to_vec(),
        [kind] if KINDS.contains(&kind.as_str()) => vec![kind],
        _ => bail!("usage: cargo xtask test [{}]", KINDS.join("|")),
    };
    let with_agent = kinds.contains(&"e2e") || kinds.contains(&"browser");
    if with_agent && !place::is_root() {
        bail!(
            "end-to-end and browser tests start the agent, and loading BPF programs needs root: \
             run `sudo -E env PATH=$PATH cargo xtask test`, or `cargo xtask test unit` without"
        );
    }
    if with_agent {
        packages::install_programs("the tests", &packages::FOR_TESTS)?;
        if place::program("dpkg-query").is_some() {
            packages::install("the browser tests", &packages::FONTS)?;
        }
    }
    if kinds.contains(&"e2e") {
        packages::install_servers()?;
    }
    setup::run(&[])?;
    let mut count = Count::default();
    run_command(&mut cargo(["build", "--workspace", "--bins"]))?;
    for kind in kinds {
        let started = Instant::now();
        println!("\n== {kind}");
        let done = match kind {
            "unit" => unit(&mut count),
            "e2e" => e2e(&mut count),
            "vm" => vm::test(&[], &mut count),
            _ => in_browser(&mut count),
        };
        if let Err(error) = done {
            count.note(format!("{kind}: {error:#}"));
        }
        println!("== {kind} took {:.0} s", started.elapsed().as_secs_f64());
    }
    count.close()
}

fn unit(count: &mut Count) -> Result<()> {
    count.run(&mut cargo(["test", "--workspace", "--no-fail-fast"]))
}

fn e2e(count: &mut Count) -> Result<()> {
    let built = workloads::build()?;
    // One case after another: they measure shares of the whole machine.
    let mut test = cargo(["test", "--workspace", "--features=sonde-tests/e2e", "--test=e2e"]);
    test.args(["--", "--test-threads=1", "--show-output"]).env("SONDE_WORKLOADS", built);
    test.env("SONDE_AGENT_BIN", place::built("sonde-agent")?);
    test.env("SONDE_COLLECTOR_BIN", place::built("sonde-collector")?);
    count.run(&mut test)
}

fn in_browser(count: &mut Count) -> Result<()> {
    workloads::build()?;
    browser::install_driver()?;
    browser::test_model(count)?;
    browser::test_page(count)
}

/// What the suites said, added up.
#[derive(Default)]
pub(crate) struct Count {
    passed: u64,
    failed: u64,
    problems: Vec<String>,
}

impl Count {
    /// Runs one suite, shows its output as it comes, and adds its numbers.
    pub(crate) fn run(&mut self, suite: &mut Command) -> Result<()> {
        println!("+ {}", shown(suite));
        let mut child = suite
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", shown(suite)))?;
        let output = child.stdout.take().context("the suite's output was piped above")?;
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("read the suite's output")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            self.add(&line);
        }
        let status = child.wait().context("wait for the suite")?;
        if status.success() { Ok(()) } else { bail!("{} failed ({status})", shown(suite)) }
    }

    /// Reads cargo's `test result:` line and node's `pass N` and `fail N`.
    fn add(&mut self, line: &str) {
        let number_before = |word: &str| -> Option<u64> {
            let (before, _) = line.split_once(word)?;
            before.split_whitespace().last()?.parse().ok()
        };
        if line.starts_with("test result:") {
            self.passed += number_before(" passed;").unwrap_or(0);
            self.failed += number_before(" failed;").unwrap_or(0);
            return;
        }
        // TAP begins the line with "#", the spec reporter with "ℹ".
        if let ["#" | "ℹ", what, number] = line.split_whitespace().collect::<Vec<_>>()[..] {
            let number = number.parse().unwrap_or(0);
            match what {
                "pass" => self.passed += number,
                "fail" => self.failed += number,
                _ => {}
            }
        }
    }

    /// Counts a test that this program runs itself; that it failed is told at once and at the end.
    pub(crate) fn case(&mut self, name: &str, outcome: Result<()>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(error) => {
                self.failed += 1;
                self.note(format!("{name}: {error:#}"));
            }
        }
    }

    /// A suite that failed; the others still run.
    fn note(&mut self, problem: String) {
        eprintln!("{problem}");
        self.problems.push(problem);
    }

    /// Prints the closing line, which also counts a suite that never got to its tests.
    pub(crate) fn close(mut self) -> Result<()> {
        println!();
        for problem in &self.problems {
            println!("failed: {problem}");
        }
        if !self.problems.is_empty() && self.failed == 0 {
            self.failed = 1;
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed > 0 {
            bail!("not all tests passed");
        }
        if self.passed == 0 {
            bail!("no test ran");
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn counted(lines: &[&str]) -> Count {
        let mut count = Count::default();
        lines.iter().for_each(|line| count.add(line));
        count
    }

    #[test]
    fn suites_of_cargo_and_node_are_added_up() {
        let count = counted(&[
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            "# pass 4",
            "ℹ pass 5",
            "ℹ fail 1",
        ]);
        assert_eq!((count.passed, count.failed), (24, 3));
    }

    #[test]
    fn other_lines_count_nothing() {
        let count = counted(&["test a ... ok", "# tests 9", "pass 3", "# pass many", ""]);
        assert_eq!((count.passed, count.failed), (0, 0));
    }

    #[test]
    fn a_suite_that_did_not_start_is_a_failure() {
        let mut count = counted(&["# pass 4"]);
        count.note("e2e: no compiler".into());
        assert!(count.close().unwrap_err().to_string().contains("not all"));
    }

    #[test]
    fn no_test_at_all_is_a_failure() {
        assert!(Count::default().close().is_err());
    }
}
