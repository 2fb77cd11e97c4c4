//! Rows of pushes and pops that follow each other, told by one row. What a page's dictionary would
//! pay more for than its rows save stays as it is.

use std::cmp::Reverse;

use rustc_hash::{FxHashMap, FxHashSet};
use sonde_ebpf::unwind::{Kind, Rule};

/// A row: the low 16 bits of its address, and its rule.
pub(super) type Row = (u16, Rule);

/// Bytes of a row, and of a rule in the dictionary.
const ROW_BYTES: usize = 2;
const RULE_BYTES: usize = 4;

/// Fewer rows are no run: a small function makes room by one instruction and calls from behind it, and
/// making a plain rule of a run's takes longer than finding a row.
const MIN_ROWS: usize = 3;

/// Several rows that one can stand for.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// The first of them.
    first: usize,
    count: usize,
    rule: Rule,
}

/// The same in fewer rows, with so many rules for runs at most.
pub(super) fn fold(rows: &[Row], max_runs: usize) -> Vec<Row> {
    let runs = runs_in(rows);
    let worthwhile = worthwhile(&runs, max_runs);
    let mut folded = Vec::with_capacity(rows.len());
    let mut next = 0;
    for run in runs.iter().filter(|run| worthwhile.contains(&run.rule)) {
        folded.extend_from_slice(&rows[next..run.first]);
        folded.push((rows[run.first].0, run.rule));
        next = run.first + run.count;
    }
    folded.extend_from_slice(&rows[next..]);
    folded
}

/// Runs of [`MIN_ROWS`] and more, in order, none overlapping another.
fn runs_in(rows: &[Row]) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut first = 0;
    while first < rows.len() {
        let run = longest_from(rows, first).filter(|run| run.count >= MIN_ROWS);
        first += run.map_or(1, |run| run.count);
        runs.extend(run);
    }
    runs
}

/// The longest run that begins with a row.
fn longest_from(rows: &[Row], first: usize) -> Option<Run> {
    let (start, start_rule) = rows[first];
    if start_rule.kind() != Kind::Sp as u32 {
        return None;
    }
    let pops = rows.get(first + 1)?.1.offset_bytes() < start_rule.offset_bytes();
    let (mut saved, mut steps, mut before) = (start_rule.saved_bytes(), 0, rows[first]);
    let mut found = None;
    for (count, row) in (2..).zip(&rows[first + 1..]) {
        let distance = u32::from(row.0 - start);
        if row.0 >> 8 != start >> 8 || distance > Rule::RUN_BYTES {
            break;
        }
        steps |= 1 << (distance - 1);
        if saved == 0 && !pops {
            saved = row.1.saved_bytes();
        }
        let Ok(saved_bytes) = i64::try_from(saved) else { break };
        let run = Rule::run(start_rule.offset_bytes(), pops, saved_bytes, steps);
        // Those before the last two either had this saved register, or none like the first of them.
        let tells = |run: Rule, (at, rule): Row| run.at(u32::from(at - start)) == rule;
        let Some(rule) = run.filter(|run| tells(*run, before) && tells(*run, *row)) else { break };
        found = Some(Run { first, count, rule });
        before = *row;
    }
    found
}

/// The rules of runs that save more in rows than they cost: the best of them.
fn worthwhile(runs: &[Run], max_runs: usize) -> FxHashSet<Rule> {
    let mut saved_bytes: FxHashMap<Rule, usize> = FxHashMap::default();
    for run in runs {
        *saved_bytes.entry(run.rule).or_default() += (run.count - 1) * ROW_BYTES;
    }
    saved_bytes.retain(|_, saved| *saved > RULE_BYTES);
    let mut rules: Vec<Rule> = saved_bytes.keys().copied().collect();
    if rules.len() > max_runs {
        rules.sort_unstable_by_key(|rule| (Reverse(saved_bytes[rule]), *rule));
        rules.truncate(max_runs);
    }
    rules.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sp(words: i64, saved: i64) -> Rule {
        Rule::offset(Kind::Sp, 8 * words, 8 * saved)
    }

    /// The same function over and over: six pushes, a frame, and the pops of them.
    fn functions(count: u16) -> Vec<Row> {
        let steps = [
            (0, 1, 0),
            (1, 2, 2),
            (3, 3, 2),
            (5, 4, 2),
            (7, 5, 2),
            (9, 6, 2),
            (10, 7, 2),
            (17, 20, 2),
            (60, 7, 2),
            (61, 6, 2),
            (63, 5, 2),
            (65, 4, 2),
            (67, 3, 2),
            (69, 2, 2),
            (70, 1, 2),
        ];
        let function =
            |number: u16| steps.map(|(at, words, saved)| (number * 128 + at, sp(words, saved)));
        (0..count).flat_map(function).collect()
    }

    #[test]
    fn all_pushes_of_a_function_are_one_row_and_so_are_all_pops() {
        let folded = fold(&functions(10), 256);
        assert_eq!(folded.len(), 30);
        let [(0, pushes), (17, frame), (60, pops), ..] = folded[..] else { panic!("{folded:?}") };
        assert_eq!(frame, sp(20, 2));
        for (at, rule) in &functions(1)[..7] {
            assert_eq!(pushes.at(u32::from(*at)), *rule);
        }
        for (at, rule) in &functions(1)[8..] {
            assert_eq!(pops.at(u32::from(*at - 60)), *rule);
        }
    }

    #[test]
    fn a_run_that_comes_once_is_not_worth_a_rule_of_its_own() {
        let rows = [(0, sp(1, 0)), (1, sp(2, 0)), (3, sp(3, 0)), (9, sp(9, 0))];
        assert_eq!(fold(&rows, 256), rows);
        assert_eq!(fold(&functions(10), 0), functions(10), "no room for rules");
        assert_eq!(fold(&functions(10), 1).len(), 150 - 60, "the best of them");
    }

    #[test]
    fn a_run_ends_with_its_256_bytes() {
        let rows: Vec<Row> =
            functions(20).into_iter().map(|(at, rule)| (at + 0xfd, rule)).collect();
        for (at, rule) in fold(&rows, 256).into_iter().filter(|(_, rule)| rule.kind() == 15) {
            let last = (0..=16).rev().find(|byte| rule.at(*byte) != rule.at(16)).unwrap_or(0);
            assert!(u32::from(at & 0xff) + last < 0xff, "{at:#x} {rule:x?}");
        }
    }

    #[test]
    fn a_frame_pointer_that_is_saved_or_restored_in_no_way_that_a_run_tells_ends_it() {
        for odd in
            [[sp(1, 2), sp(2, 2)], [sp(2, 0), sp(3, 2)], [sp(3, 2), sp(2, 0)], [sp(1, 0), sp(3, 0)]]
        {
            let rows: Vec<Row> = (0..40).map(|n| (n * 9, odd[usize::from(n & 1)])).collect();
            let folded = fold(&rows, 256);
            let told = |at: u16| {
                let (from, rule) = *folded.iter().rfind(|(from, _)| *from <= at).expect("a row");
                rule.at(u32::from(at - from))
            };
            for (at, rule) in rows {
                assert_eq!(told(at), rule, "{at}");
            }
        }
    }
}
