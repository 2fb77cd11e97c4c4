//! Reading the kernel's small text files: bounded, and nothing for what is not as expected.

use std::{
    fs::File,
    io::{Read as _, Result},
    path::Path,
};

/// No such file is longer, but for `/proc/schedstat` of machines with thousands of CPUs.
const MAX_BYTES: u64 = 1 << 20;

/// The file's text; `None` when it is not there or is no text.
pub(super) fn read(path: &Path) -> Option<String> {
    let read = || -> Result<String> {
        let mut text = String::new();
        File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
        Ok(text)
    };
    read().ok()
}

/// The number behind a word that begins a line, as `MemFree:   12 kB` has it.
pub(super) fn number(text: &str, word: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix([' ', '\t']))?;
    line.split_whitespace().next().and_then(parse)
}

/// A whole number that is not negative: the kernel writes no other.
pub(super) fn parse(word: &str) -> Option<f64> {
    let number: u64 = word.trim().parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "2^53 ns are a hundred days of one CPU")]
    Some(number as f64)
}

/// Seconds that tasks were stalled, by how many of them were: the totals of a file of pressures.
pub(super) fn pressures(text: &str) -> Vec<(&'static str, f64)> {
    let total = |line: &str| parse(line.split_once("total=")?.1);
    let of = |kind| text.lines().find_map(|line| total(line.strip_prefix(kind)?));
    let kinds = ["some", "full"].into_iter();
    kinds.filter_map(|kind| Some((kind, of(kind)? / 1e6))).collect()
}
