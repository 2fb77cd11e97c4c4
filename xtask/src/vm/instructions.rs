//! How long the BPF programs are, kept in a file so that growth is a diff.
//!
//! Counted in the object: it is the same wherever it is loaded, while each kernel rewrites what it
//! loads. Functions that programs share are counted once, under `.text`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::command::{command, output};
use crate::place;

/// Bytes of a BPF instruction.
const INSTRUCTION: u64 = 8;
/// Where the compiler puts what is no entry point.
const SHARED: &str = ".text";
const KEPT: &str = "tests/vm/instructions.txt";

/// Compares with the file; `UPDATE_EXPECT=1` rewrites it.
pub(super) fn check() -> Result<()> {
    if place::tools()?.join("bpf-toolchain").exists() {
        println!("instructions: not compared, another compiler than the pinned one built them");
        return Ok(());
    }
    let object = object()?;
    let told = output(command("readelf", ["--wide", "--sections", "--symbols"]).arg(&object))?;
    let counted = table(&count(&told));
    let path = place::workspace().join(KEPT);
    print!("instructions in {}:\n{counted}", object.display());
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        return fs::write(&path, counted).with_context(|| format!("write {}", path.display()));
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    if kept == counted {
        return Ok(());
    }
    bail!(
        "the programs' lengths are not those of {KEPT}:\n{kept}\
         if that is meant: UPDATE_EXPECT=1 cargo xtask vm"
    )
}

/// What `agent/build.rs` compiled last.
fn object() -> Result<PathBuf> {
    let object = place::built("../bpf/bpfel-unknown-none/bpf/sonde-ebpf")?;
    if !Path::new(&object).is_file() {
        bail!("no BPF object at {}: build the agent", object.display());
    }
    Ok(object)
}

/// Instructions of each entry point, and of all shared functions, by name.
fn count(readelf: &str) -> Vec<(String, u64)> {
    let sections: HashMap<&str, (&str, u64)> = readelf.lines().filter_map(section).collect();
    let mut counts: Vec<(String, u64)> = Vec::new();
    for (name, bytes, section) in readelf.lines().filter_map(function) {
        if sections.get(section).is_some_and(|(section, _)| *section != SHARED) {
            counts.push((name.to_owned(), bytes / INSTRUCTION));
        }
    }
    counts.sort();
    let shared = sections.values().find(|(name, _)| *name == SHARED);
    counts.extend(shared.map(|(name, bytes)| ((*name).to_owned(), bytes / INSTRUCTION)));
    counts
}

/// `[ 3] perf_event PROGBITS 0…0 0002a0 0014f8 …` to number, name and bytes.
fn section(line: &str) -> Option<(&str, (&str, u64))> {
    let (number, rest) = line.trim().strip_prefix('[')?.split_once(']')?;
    let mut fields = rest.split_whitespace();
    let name = fields.next()?;
    let bytes = fields.nth(3)?;
    Some((number.trim(), (name, u64::from_str_radix(bytes, 16).ok()?)))
}

/// `16: 0…0 5368 FUNC GLOBAL DEFAULT 3 cpu_sample` to name, bytes and section number.
fn function(line: &str) -> Option<(&str, u64, &str)> {
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, _, bytes, "FUNC", "GLOBAL", _, section, name] => {
            Some((name, bytes.parse().ok()?, section))
        }
        _ => None,
    }
}

fn table(counts: &[(String, u64)]) -> String {
    let head = "# BPF instructions in the object for x86-64; rewritten by UPDATE_EXPECT=1 cargo xtask vm\n";
    let lines = counts.iter().map(|(name, count)| format!("{name} {count}\n"));
    std::iter::once(head.to_owned()).chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_points_are_counted_alone_and_shared_functions_together() {
        let readelf = "  [ 2] .text   PROGBITS 0000000000000000 000040 000260 00  AX  0   0  8\n\
                         [13] .rodata PROGBITS 0000000000000000 001838 000065 00   A  0   0  8\n\
                         [ 3] perf_event PROGBITS 0000000000000000 0002a0 0014f8 00  AX  0   0  8\n\
             16: 0000000000000000  5368 FUNC    GLOBAL DEFAULT    3 cpu_sample\n\
             17: 0000000000000000    64 OBJECT  GLOBAL DEFAULT   13 LEVEL\n\
             18: 0000000000000120    64 FUNC    GLOBAL HIDDEN     2 memset\n";
        assert_eq!(count(readelf), [("cpu_sample".to_owned(), 671), (".text".to_owned(), 76)]);
    }
}
