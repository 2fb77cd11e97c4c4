//! The memory for unwind tables is a budget that holds, however many binaries run, and stacks stay
//! right when tables have to make room for others.
#![expect(clippy::print_stdout, reason = "figures are part of what a run shows")]

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use sonde_tests::Agent;
use sonde_tests::collector::Collector;
use sonde_tests::recording::Recording;
use sonde_tests::workload::{Workload, program};
use tempfile::TempDir;

/// So many libraries, each with tables of its own.
const LIBRARIES: usize = 2_000;
/// The smallest budget that can be set: the tables of [`LIBRARIES`] take more than that.
const BUDGET: &str = "1MiB";

/// Copies of a library that differ in their build ids.
fn libraries(folder: &Path) {
    let mut bytes = fs::read(program("plugin.so").unwrap()).unwrap();
    // The note's sizes, its type and its owner; the id follows.
    let note = [&[4_u32, 20, 3].map(u32::to_ne_bytes).concat()[..], b"GNU\0"].concat();
    let at = bytes.windows(note.len()).position(|window| window == note).unwrap() + note.len();
    for number in 0..LIBRARIES {
        bytes[at..at + 8].copy_from_slice(&(number as u64).to_ne_bytes());
        fs::write(folder.join(format!("{number}.so")), &bytes).unwrap();
    }
}

/// The value of a metric without labels.
fn metric(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name}:\n{text}")).parse().unwrap()
}

#[test]
fn stacks_are_exact_while_tables_make_room_for_one_another() {
    let folder = TempDir::new().unwrap();
    libraries(folder.path());
    let (many, count) = (program("many").unwrap(), LIBRARIES.to_string());
    let words = [many.as_os_str(), folder.path().as_os_str(), OsStr::new(&count), OsStr::new("10")];
    // Some 3,300 pieces of work of 3 ms each in turn: each library has several samples.
    let recording = Recording::with(&["--table-bytes", BUDGET], 499, &words).unwrap();
    println!("{LIBRARIES} libraries: {}", recording.said);
    recording.reaches_the_start(97.0);
    let whole = ["many_1", "many_2", "plugin_1", "plugin_2", "plugin_3", "spin_plugin"];
    // A library that was closed to make room for others has no name for an address that is new.
    let unnamed = |frame: &String| frame.starts_with("[file gone: ");
    let is_whole = |user: &[String]| {
        let from = user.iter().position(|frame| frame == whole[0]).map(|at| &user[at..]);
        from.is_some_and(|from| {
            let same = |(frame, wanted): (&String, &&str)| frame == wanted || unnamed(frame);
            from.len() == whole.len() && from.iter().zip(&whole).all(same)
        })
    };
    let working = |user: &[String]| user.iter().any(|frame| whole[1..].contains(&frame.as_str()));
    let all = recording.count(working);
    let wrong = recording.count(|user| working(user) && !is_whole(user));
    let unnamed = recording.count(|user| user.iter().any(unnamed));
    println!("of {all} samples {wrong} are not exact, {unnamed} lack a name");
    let others = || recording.others(|user| !working(user) || is_whole(user));
    assert!(all > 3_000 && wrong * 100 <= 3 * all, "{}", others());
    assert!(unnamed * 100 <= 10 * all, "{unnamed} of {all} lack a name");
}

#[test]
fn the_budget_holds_while_two_thousand_libraries_run() {
    let folder = TempDir::new().unwrap();
    libraries(folder.path());
    let collector = Collector::start(folder.path()).unwrap();
    let mut command = Command::new(sonde_tests::binary("SONDE_AGENT_BIN").unwrap());
    command.env("SONDE_AGENT_TABLE_BYTES", BUDGET).env("SONDE_AGENT_FREQUENCY", "499");
    let agent = Agent::start_by(command, &collector, folder.path()).unwrap();
    let mut many = Command::new(program("many").unwrap());
    many.arg(folder.path()).arg(LIBRARIES.to_string()).arg("15");
    let mut workload = Workload::start("many", many, folder.path()).unwrap();
    let (mut most, mut descriptors, mut last) = (0, 0, String::new());
    while workload.process().runs() {
        last = agent.metrics().unwrap();
        let used = metric(&last, "sonde_agent_unwind_table_bytes");
        let limit = metric(&last, "sonde_agent_unwind_table_limit_bytes");
        assert!(used <= limit, "{used} of {limit} bytes");
        assert!(limit == 0 || limit == 1 << 20, "the metric says what was set: {limit}");
        most = most.max(used);
        descriptors = descriptors.max(agent.process.descriptors());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let evicted = metric(&last, "sonde_agent_unwind_pages_evicted_total");
    let built = metric(&last, "sonde_agent_unwind_pages_built_total");
    println!(
        "{LIBRARIES} libraries in {BUDGET}: at most {most} bytes of tables, {built} built, {evicted} \
         made room, {descriptors} descriptors, {} KiB resident",
        agent.process.resident_kb()
    );
    assert!(built >= LIBRARIES as u64 && evicted > 0, "{built} built, {evicted} evicted");
    // Files with tables and files with names are kept open, 512 of each, and as many as there are jobs
    // may be on their way to the naming thread.
    assert!(descriptors <= 2 * 512 + 1024 + 100, "{descriptors} descriptors");
}
