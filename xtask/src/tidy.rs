//! `cargo xtask tidy`: the layout rules that no compiler checks, over every file git knows.

mod imports;
mod texts;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::command::{command, output};
use crate::place;

/// What the whole web UI may weigh on the wire, in gzipped bytes.
const UI_BUDGET_BYTES: usize = 150_000;

pub(crate) fn run(args: &[String]) -> Result<()> {
    if !args.is_empty() {
        bail!("usage: cargo xtask tidy");
    }
    let root = place::workspace();
    let listed =
        output(&mut command("git", ["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    let mut problems = Vec::new();
    let mut checked = 0;
    for path in listed.lines().filter(|path| root.join(path).is_file()) {
        let bytes = fs::read(root.join(path)).with_context(|| format!("read {path}"))?;
        // What is no text (a picture, an ELF fixture) has no rules here.
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        checked += 1;
        problems.extend(texts::check(path, text));
        problems.extend(imports::check(path, text));
    }
    problems.extend(ui_weight(&root.join("collector/ui"))?);
    for problem in &problems {
        println!("{problem}");
    }
    if problems.is_empty() {
        println!("tidy: {checked} files, nothing to say");
        return Ok(());
    }
    bail!("{} problems in {checked} files", problems.len());
}

fn ui_weight(folder: &Path) -> Result<Option<String>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let listed = output(Command::new("find").arg(folder).args(["-type", "f"]))?;
    let mut sum = 0;
    // What no browser loads weighs nothing on the wire: types, and the licences of what is not ours.
    let loaded = |file: &&str| !file.ends_with(".d.ts") && !file.contains("/LICENSE-");
    for file in listed.lines().filter(loaded) {
        let packed = Command::new("gzip")
            .args(["-9", "-c", file])
            .stderr(Stdio::inherit())
            .output()
            .context("run gzip")?;
        sum += packed.stdout.len();
    }
    println!("tidy: the UI weighs {sum} of {UI_BUDGET_BYTES} bytes, gzipped");
    Ok((sum > UI_BUDGET_BYTES)
        .then(|| format!("collector/ui: {sum} bytes gzipped, the budget is {UI_BUDGET_BYTES}")))
}
