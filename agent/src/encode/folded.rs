//! Folded stacks: one line for each distinct stack, `root;…;leaf COUNT`, as flame graph tools read it.
//!
//! The first frame is the service's name. `;` separates frames and the last blank separates the
//! count, so names are made free of both where they would be misread.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::frame::{label, names_root_first};
use crate::aggregate::{ServiceProfile, StackCount};

/// All stacks of all services, equal ones summed, sorted by text; the count is in samples.
#[must_use]
pub fn folded(services: &[ServiceProfile]) -> String {
    let mut text = String::new();
    for (stack, count) in counted_lines(services) {
        writeln!(text, "{stack} {count}").expect("writing to a String does not fail");
    }
    text
}

fn counted_lines(services: &[ServiceProfile]) -> BTreeMap<String, u64> {
    let mut lines = BTreeMap::new();
    for service in services {
        let root = label(&service.labels, "service_name");
        for stack in &service.stacks {
            let count: &mut u64 = lines.entry(line(root, stack)).or_default();
            *count = count.saturating_add(stack.count);
        }
    }
    lines
}

fn line(root: &str, stack: &StackCount) -> String {
    let mut line = String::new();
    push_frame(&mut line, root);
    for location in stack.frames.iter().rev() {
        for name in names_root_first(location) {
            push_frame(&mut line, &name);
        }
    }
    line
}

fn push_frame(line: &mut String, name: &str) {
    if !line.is_empty() {
        line.push(';');
    }
    let start = line.len();
    line.extend(name.chars().map(|letter| match letter {
        ';' => ':',
        letter if letter.is_control() => ' ',
        letter => letter,
    }));
    keep_trailing_number(line, start);
}

/// A name that ends in a number of its own (`pool 7`) would read as a line with two counts.
fn keep_trailing_number(line: &mut String, start: usize) {
    let Some(blank) = line[start..].rfind(' ').map(|at| start + at) else { return };
    if line[blank + 1..].chars().all(|letter| letter.is_ascii_digit() || letter == '.') {
        line.replace_range(blank..=blank, "_");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::pprof::testing::{at, known, service_of, stack, unknown};
    use crate::symbol::UnknownReason;

    #[test]
    fn a_line_is_service_then_frames_root_first_with_inlined_ones_in_order() {
        let inlined = at(None, 1, &["inner", "outer"]);
        let services = [service_of("web", vec![stack(&[inlined, known("main")], 4)])];
        assert_eq!(folded(&services), "web;main;outer;inner 4\n");
    }

    #[test]
    fn equal_stacks_of_different_threads_are_one_line() {
        let other = StackCount { thread: "other".into(), ..stack(&[known("f")], 2) };
        let services = [service_of("web", vec![stack(&[known("f")], 1), other])];
        assert_eq!(folded(&services), "web;f 3\n");
    }

    #[test]
    fn unknown_frames_say_why() {
        let services =
            [service_of("web", vec![stack(&[unknown(None, 1, UnknownReason::NoMapping)], 1)])];
        assert_eq!(folded(&services), "web;[no mapping] 1\n");
    }

    #[test]
    fn names_cannot_break_the_format() {
        let check = |name: &str, expected: &str| {
            let services = [service_of("s", vec![stack(&[known(name)], 1)])];
            assert_eq!(folded(&services), format!("s;{expected} 1\n"));
        };
        check("a;b\nc", "a:b c");
        check("pool 7", "pool_7");
        check("fn(int, char)", "fn(int, char)");
        check("ends ", "ends_");
    }
}
