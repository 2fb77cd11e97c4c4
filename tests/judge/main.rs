//! Says how well a recording shows the chains that its workload declared: `FOLDED DECLARED SKIPPED`, a
//! file of folded stacks, one with what the workload wrote, and the chains that do not count.
#![expect(clippy::print_stdout, reason = "a bench's result is what it prints")]

use std::fs;

use anyhow::{Context as _, Result};
use sonde_tests::folded::{Shown, chains, read};

fn main() -> Result<()> {
    // `cargo test` runs benches too, without this flag; there it only has to compile.
    let words: Vec<String> = std::env::args().skip(1).collect();
    if !words.iter().any(|word| word == "--bench") {
        return Ok(());
    }
    let [folded, declared, skipped, ..] = &words[..] else {
        anyhow::bail!("usage: judge FOLDED DECLARED SKIPPED");
    };
    let text = |path: &str| fs::read_to_string(path).with_context(|| format!("read {path}"));
    let mut chains = chains(&text(declared)?)?;
    chains.retain(|chain| !skipped.split(',').any(|name| name == chain.name));
    let Shown { whole, exact, off_by } = Shown::of(&chains, &read(&text(folded)?)?);
    println!("{whole:.1} % | {exact:.1} % | {off_by:.1} points");
    Ok(())
}
