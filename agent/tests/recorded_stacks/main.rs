//! Stacks of real programs, stopped while they work: our walk over each against framehop's over the
//! same registers, stack and files; where those two part, gimli's reading of the descriptions decides.
//!
//! Needs no root: the programs are our own children, stopped by ptrace.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![expect(clippy::print_stdout, reason = "what was met is a result")]

mod arbiter;
mod evaluate;
mod modules;
mod ours;
mod programs;
mod recording;
mod theirs;

use std::collections::{BTreeMap, BTreeSet};

use modules::Modules;
use recording::Recording;
use sonde_ebpf::StackEnd;

/// What was met in one program.
#[derive(Debug, Default)]
struct Tally {
    stacks: usize,
    complete: usize,
    /// Frames that both have found alike.
    alike: usize,
    /// Frames that we found and framehop did not, and the other way round.
    ours_only: usize,
    theirs_only: usize,
    /// Frames where they part and gimli finds what we find.
    decided_for_us: usize,
    /// The same where nothing describes the code.
    undecided: usize,
    ends: BTreeMap<StackEnd, usize>,
    wrong: Vec<String>,
}

/// Compares what was found on one stack, leaf first.
fn compare(
    recording: &Recording,
    modules: &Modules,
    tally: &mut Tally,
    met: &mut BTreeSet<String>,
) {
    let (ours, end) = ours::walk(recording);
    let theirs = theirs::walk(recording, modules);
    let alike = ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs).count();
    tally.stacks += 1;
    tally.complete += usize::from(end == StackEnd::Complete);
    tally.alike += alike;
    *tally.ends.entry(end).or_default() += 1;
    met.extend(ours[..alike].iter().filter_map(|address| modules.name_at(*address)));
    let (ours_left, theirs_left) = (ours.len() - alike, theirs.len() - alike);
    if ours_left == 0 && theirs_left == 0 {
        return;
    }
    let truth = arbiter::walk(recording, modules);
    let known = truth.len().min(ours.len());
    if let Some(part) = (alike..known).find(|frame| ours[*frame] != truth[*frame]) {
        let name = |address: u64| modules.name_at(address).unwrap_or_else(|| "?".into());
        tally.wrong.push(format!(
            "frame {part}, called by {:#x} in {}: ours {:#x}, framehop {:x?}, gimli {:#x}",
            ours[part - 1],
            name(ours[part - 1]),
            ours[part],
            theirs.get(part),
            truth[part],
        ));
    } else if ours_left == 0 && truth.len() > ours.len() && end != StackEnd::Truncated {
        let last = *ours.last().unwrap();
        let name = modules.name_at(last);
        tally.wrong.push(format!("ours ends at {last:#x} in {name:?}: {end:?}, gimli goes on"));
    } else if ours_left == 0 {
        tally.theirs_only += theirs_left;
    } else if theirs_left == 0 {
        tally.ours_only += ours_left;
    } else if truth.len() > alike {
        tally.decided_for_us += 1;
    } else {
        tally.undecided += 1;
    }
}

#[test]
fn walks_over_stacks_of_real_programs_are_those_of_framehop() {
    let mut met = BTreeSet::new();
    let mut tallies = BTreeMap::new();
    for program in programs::all() {
        let mut tally = Tally::default();
        let was_here = program.run(|recordings| {
            for recording in recordings {
                let modules = Modules::of(&recording.maps);
                compare(&recording, &modules, &mut tally, &mut met);
            }
        });
        if was_here {
            println!("{}: {tally:#?}", program.name);
            tallies.insert(program.name, tally);
        }
    }
    println!("met: {met:?}");
    for (name, tally) in &tallies {
        assert!(tally.wrong.is_empty(), "{name}: {:#?}", tally.wrong);
        assert!(tally.stacks > 0, "{name} was never stopped at work");
        // Go's own code has no descriptions beyond those of frame pointers, nor has what V8 makes.
        let described = !["go", "node"].contains(name);
        assert!(!described || tally.undecided * 50 <= tally.alike, "{name}: {tally:?}");
        // Framehop stops at assembly without descriptions, which whole stacks may lie behind.
        assert!(!described || tally.ours_only * 10 <= tally.alike, "{name}: {tally:?}");
        // The chain of a Go thread that is idle may go on from its own stack to that of a goroutine it
        // has put away, where anything may be: names tell, which come later.
        let whole = if *name == "go" { 50 } else { 99 };
        assert!(tally.complete * 100 >= tally.stacks * whole, "{name}: {tally:?}");
    }
    let sum = |count: fn(&Tally) -> usize| tallies.values().map(count).sum::<usize>();
    let (stacks, alike) = (sum(|tally| tally.stacks), sum(|tally| tally.alike));
    assert!(stacks >= 60 && alike >= 1000, "{stacks} stacks, {alike} frames");
    for file in ["libc.so", "ld-linux", "libLLVM", "librustc_driver", "libstdc++", "cargo"] {
        assert!(met.iter().any(|name| name.contains(file)), "{file} was not met");
    }
}
