//! `sonde-agent doctor`: how well each binary's stacks and names are seen, and what would help.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use sonde_ebpf::StackEnd;

use super::{environment, percent, permille, record, say};
use crate::{
    aggregate::{BinarySight, ProfileWindow},
    config::{SpanArgs, doctor_settings},
    telemetry::start_log,
};

/// Binaries are told together that have a smaller share of the CPU and break a smaller share of the
/// stacks: a program whose time is all spent in libraries may still be what breaks them.
const MIN_PERMILLE: u64 = 5;
/// A binary is told to need help where more than this of its stacks break or its frames are unnamed.
const MAX_BAD_PERMILLE: u64 = 10;

pub(super) fn doctor(args: &SpanArgs) -> anyhow::Result<()> {
    let settings = doctor_settings(args, &environment)?;
    start_log(&settings.log_level)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (window, command) = runtime.block_on(record::take(&settings))?;
    say(&report(&window));
    record::succeeded(command)
}

fn report(window: &ProfileWindow) -> String {
    let binaries = window.binaries();
    let sum = |of: fn(&BinarySight) -> u64| binaries.iter().map(of).sum::<u64>();
    let samples = sum(|sight| sight.samples);
    if samples == 0 {
        return "Nothing ran: there are no samples.\n".to_owned();
    }
    let mut text = format!(
        "{samples} samples: {} % of the stacks are complete, {} % of the frames have names\n",
        percent(samples - sum(BinarySight::broken_stacks), samples),
        percent(sum(|sight| sight.frames - sight.unnamed_frames()), sum(|sight| sight.frames)),
    );
    let (told, others): (Vec<_>, Vec<_>) = binaries.iter().partition(|sight| {
        permille(sight.samples.max(sight.broken_stacks()), samples) >= MIN_PERMILLE
    });
    let mut remedies = Remedies::default();
    text.push_str("\n   CPU   stacks    named  binary\n");
    for sight in told {
        row(&mut text, sight, samples, &mut remedies);
    }
    if !others.is_empty() {
        let samples_of_others = others.iter().map(|sight| sight.samples).sum();
        let share = percent(samples_of_others, samples);
        line(&mut text, format_args!("{share:>5} %                    {} more", others.len()));
    }
    if !remedies.0.is_empty() {
        text.push_str("\nWhat would help:\n");
    }
    for (remedy, binaries) in &remedies.0 {
        line(&mut text, format_args!("- {remedy}\n    {}", binaries.join(", ")));
    }
    for (reason, count) in &window.trust.lost {
        let what = if reason.loses_samples() { "samples" } else { "facts of processes" };
        line(&mut text, format_args!("\nLost: {count} {what} ({})", reason.label()));
    }
    text
}

fn row(text: &mut String, sight: &BinarySight, samples: u64, remedies: &mut Remedies) {
    let path = sight.binary.as_ref().map_or("[no file]", |binary| &*binary.path);
    line(
        text,
        format_args!(
            "{:>5} %  {:>5} %  {:>5} %  {path}",
            percent(sight.samples, samples),
            percent(sight.stacks - sight.broken_stacks(), sight.stacks),
            percent(sight.frames - sight.unnamed_frames(), sight.frames),
        ),
    );
    if let Some(source) = &sight.source {
        line(text, format_args!("{:29}names: {source}", ""));
    }
    let name = Path::new(path).file_name().map_or(path.into(), |name| name.to_string_lossy());
    if permille(sight.broken_stacks(), sight.stacks) > MAX_BAD_PERMILLE {
        for (end, count) in sight.broken.values() {
            line(text, format_args!("{:29}{count} stacks break here: {}", "", end.label()));
            remedies.add(stack_remedy(*end), &name);
        }
    }
    if permille(sight.unnamed_frames(), sight.frames) > MAX_BAD_PERMILLE {
        for (reason, count) in &sight.unnamed {
            let share = percent(*count, sight.frames);
            line(text, format_args!("{:29}{share} % of its frames: {}", "", reason.label()));
            remedies.add(reason.remedy(), &name);
        }
    }
}

/// What would help, each with the binaries that it would help.
#[derive(Default)]
struct Remedies(BTreeMap<&'static str, Vec<String>>);

impl Remedies {
    fn add(&mut self, remedy: &'static str, binary: &str) {
        let binaries = self.0.entry(remedy).or_default();
        if !binaries.iter().any(|known| known == binary) {
            binaries.push(binary.to_owned());
        }
    }
}

/// What would make stacks whole that break off for a reason.
const fn stack_remedy(end: StackEnd) -> &'static str {
    match end {
        StackEnd::Complete | StackEnd::KernelThread | StackEnd::InExec => "Nothing is wrong.",
        StackEnd::Truncated => "Nothing: these stacks are deeper than a sample can hold.",
        StackEnd::NoUnwindInfo | StackEnd::FramePointerEnd => {
            "Build it with unwind tables (-fasynchronous-unwind-tables) or with frame pointers \
             (-fno-omit-frame-pointer): it has neither where these stacks break."
        }
        StackEnd::Jit => {
            "Let the runtime keep frame pointers in the code it makes: for Java, \
             -XX:+PreserveFramePointer."
        }
        StackEnd::UnsupportedRule => {
            "Nothing: this code is written by hand, and describes its stack in a way that can't be \
             followed from a sample."
        }
        StackEnd::NoMapping | StackEnd::ReadFault => {
            "Little: what should be a return address was none. The stack is damaged, or was being \
             exchanged for another program's."
        }
        StackEnd::TableNotLoaded => {
            "Let the agent read the program's file: it could not, or there was no room for its table."
        }
        StackEnd::ProcessUnknown => {
            "Little: the process was so young, or just became another program, that nothing was \
             known of it."
        }
        StackEnd::ForeignCode => "Nothing: stacks of 32-bit programs are not followed.",
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        aggregate::{Binary, Location, ServiceProfile, StackCount, Trust},
        symbol::{Svma, Symbol, SymbolSource, UnknownReason},
    };

    fn binary(path: &str) -> Arc<Binary> {
        Arc::new(Binary { path: path.into(), build_id: Arc::default() })
    }

    /// Stacks without names: their binaries, leaf first, how they end, and how many there are.
    fn window(stacks: &[(&[&Arc<Binary>], StackEnd, u64)]) -> ProfileWindow {
        let symbol = Symbol::Unknown(UnknownReason::Stripped);
        let frame = |binary: &&Arc<Binary>| {
            let (binary, symbol) = (Some(Arc::clone(binary)), symbol.clone());
            Arc::new(Location { binary, address: Svma(1), symbol })
        };
        let stack = |(binaries, end, count): &(&[&Arc<Binary>], StackEnd, u64)| StackCount {
            frames: binaries.iter().map(frame).collect(),
            pid: None,
            thread: "shop".into(),
            end: *end,
            count: *count,
        };
        let stacks: Vec<_> = stacks.iter().map(stack).collect();
        ProfileWindow {
            start_unix_ns: 0,
            duration_ns: 1,
            period_ns: 1,
            services: vec![ServiceProfile { labels: Vec::new(), stacks }],
            sources: Vec::new(),
            trust: Trust::default(),
        }
    }

    #[test]
    fn a_binary_that_breaks_stacks_and_has_no_names_gets_both_remedies() {
        let shop = binary("/bin/shop");
        let mut window =
            window(&[(&[&shop], StackEnd::Complete, 3), (&[&shop], StackEnd::NoUnwindInfo, 1)]);
        window.sources = vec![(shop, SymbolSource::DynamicSymbols(UnknownReason::Stripped))];
        let told = report(&window);
        let expected = "\
4 samples: 75.0 % of the stacks are complete, 0.0 % of the frames have names

   CPU   stacks    named  binary
100.0 %   75.0 %    0.0 %  /bin/shop
                             names: only the functions it offers to others (.dynsym)
                             1 stacks break here: no_unwind_info
                             100.0 % of its frames: stripped

What would help:
- Build it with unwind tables";
        assert!(told.starts_with(expected), "{told}");
        assert!(told.ends_with("build it without stripping.\n    shop\n"), "{told}");
    }

    #[test]
    fn a_binary_that_breaks_stacks_is_told_even_if_its_time_is_spent_in_libraries() {
        let (shop, libc, small) = (binary("/bin/shop"), binary("/lib/libc"), binary("/bin/small"));
        let told = report(&window(&[
            (&[&libc, &shop], StackEnd::NoUnwindInfo, 999),
            (&[&small], StackEnd::Complete, 1),
        ]));
        assert!(told.contains("/bin/shop\n") && told.contains("999 stacks break here"), "{told}");
        assert!(!told.contains("/bin/small") && told.contains(" 1 more"), "{told}");
    }

    #[test]
    fn a_host_that_sleeps_is_no_failure() {
        assert_eq!(report(&window(&[])), "Nothing ran: there are no samples.\n");
    }
}
