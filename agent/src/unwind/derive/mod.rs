//! Rows for code of x86-64 that no description covers, from its instructions: how far each push, pop
//! and move of the stack pointer leaves the frame from the CFA. musl is built that way, and the
//! linkage tables that lld makes.
//!
//! A frame is followed from where functions are known to begin. Whoever returns must have put the
//! stack pointer back to where it was: a function that does not was misread, and has no rows.

mod flow;
mod state;
#[cfg(test)]
mod tests;

use memchr::memmem;
use sonde_ebpf::unwind::Rule;

use self::{flow::Flow, state::State};
use super::page::overlay;

/// Code that is looked at as one: what is longer has no rows.
pub(super) const MAX_CODE_BYTES: u64 = 2 << 20;
/// Room between two instructions that is no code.
const MAX_PADDING: u64 = 15;
/// What a signal handler returns to (`rt_sigreturn`), as musl has it and as glibc does.
const RESTORERS: [&[u8]; 2] =
    [&[0xb8, 15, 0, 0, 0, 0x0f, 0x05], &[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05]];

/// Where functions begin.
pub(super) struct Entries<'a> {
    /// Those that are called.
    pub(super) functions: &'a [u64],
    /// Those of them that never return.
    pub(super) ends: &'a [u64],
    /// The program's own; 0 if there is none.
    pub(super) program: u64,
}

/// Rules of a piece of code, each with the address from which on it holds.
pub(super) fn derive(code: &[u8], svma: u64, entries: &Entries<'_>) -> Vec<(u64, Rule)> {
    let flow = follow(code, svma, entries);
    let mut rows = Rows { rows: vec![(svma, Rule::NO_INFO)] };
    let mut behind = svma;
    for (bytes, state) in flow.frames() {
        if bytes.start.saturating_sub(behind) > MAX_PADDING {
            rows.push(behind, Rule::NO_INFO);
        }
        rows.push(bytes.start, state.rule());
        behind = bytes.end;
    }
    rows.push(behind, Rule::NO_INFO);
    let mut rows = rows.rows;
    for (at, bytes) in restorers(code) {
        // Nobody called it: the row of a return address is that of the byte before.
        let start = (svma + at as u64).saturating_sub(1).max(svma);
        overlay(&mut rows, start, svma + (at + bytes) as u64, Rule::SIGNAL);
    }
    rows
}

fn follow<'a>(code: &'a [u8], svma: u64, entries: &Entries<'_>) -> Flow<'a> {
    let mut flow = Flow::new(code, svma);
    if entries.program != 0 {
        flow.begin(entries.program, State::STARTED);
    }
    for function in entries.ends {
        flow.end(*function);
    }
    for function in entries.functions {
        flow.begin(*function, State::CALLED);
    }
    flow.run();
    flow
}

struct Rows {
    rows: Vec<(u64, Rule)>,
}

impl Rows {
    fn push(&mut self, at: u64, rule: Rule) {
        match self.rows.last_mut() {
            Some((_, last)) if *last == rule => {}
            Some((start, last)) if *start == at => *last = rule,
            _ => self.rows.push((at, rule)),
        }
    }
}

/// Where signal handlers return to, and the bytes of that.
fn restorers(code: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    RESTORERS
        .iter()
        .flat_map(|pattern| memmem::find_iter(code, pattern).map(|at| (at, pattern.len())))
}
