//! `sonde-agent record`: files that other tools read, and the command's own exit code.

use std::fs;
use std::process::Command;

use sonde_tests::workload::program;
use sonde_tests::{doctor, pprof, record};
use tempfile::TempDir;

#[test]
fn a_recorded_pprof_file_opens_in_independent_readers() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("out.pb.gz");
    let shares = program("shares").unwrap();
    let words = [file.as_os_str(), "--".as_ref(), shares.as_os_str(), "6".as_ref()];
    let output = record(["-o".as_ref()].into_iter().chain(words)).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let profile = pprof::read(&file).unwrap();
    assert!((profile.share("work_sixty").unwrap() - 60.0).abs() < 8.0);
    assert!(profile.period > 0 && profile.time_nanos > 0 && profile.duration_nanos > 0);
    let Ok(go) = Command::new("go").args(["tool", "pprof", "-top"]).arg(&file).output() else {
        // Without Go, the reader above, which shares no code with the agent, is the only witness.
        return;
    };
    let said = String::from_utf8_lossy(&go.stdout);
    assert!(go.status.success(), "{}", String::from_utf8_lossy(&go.stderr));
    assert!(said.contains("work_sixty"), "{said}");
    assert!(said.contains("Type: cpu"), "{said}");
}

#[test]
fn folded_and_svg_come_from_the_same_recording() {
    let folder = TempDir::new().unwrap();
    let (folded, svg) = (folder.path().join("out.folded"), folder.path().join("out.svg"));
    let shares = program("shares").unwrap();
    let words = ["-o".as_ref(), folded.as_os_str(), "-o".as_ref(), svg.as_os_str(), "--".as_ref()];
    let command = [shares.as_os_str(), "4".as_ref()];
    let output = record(words.into_iter().chain(command)).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let text = fs::read_to_string(&folded).unwrap();
    let (mut with, mut all) = (0_u64, 0_u64);
    for line in text.lines() {
        let (stack, count) = line.rsplit_once(' ').expect("a stack and its count");
        let count: u64 = count.parse().expect("a count");
        all += count;
        if stack.contains("chain_1;chain_2;") && stack.contains("work_sixty") {
            with += count;
        }
    }
    assert!(with * 100 > all * 45 && all > 30, "{with} of {all}:\n{text}");
    let drawn = fs::read_to_string(&svg).unwrap();
    assert!(drawn.contains("<svg") && drawn.contains("work_sixty"));
}

#[test]
fn doctor_says_of_each_binary_how_it_is_seen_and_what_would_help() {
    let folder = TempDir::new().unwrap();
    let (shares, stripped) = (program("shares").unwrap(), folder.path().join("stripped"));
    let strip = Command::new("strip").arg("-o").arg(&stripped).arg(&shares).status().unwrap();
    assert!(strip.success());
    let both = format!("{} 3 && {} 3", shares.display(), stripped.display());
    let output = doctor(["--", "sh", "-c", &both]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let said = String::from_utf8_lossy(&output.stdout);
    // CPU, whole stacks and named frames in percent, and where the names are from.
    let told = |path: &std::path::Path| {
        let mut lines = said.lines().skip_while(|line| !line.ends_with(path.to_str().unwrap()));
        let numbers = lines.next().unwrap_or_default().split('%').map(|text| text.trim().parse());
        let numbers: Vec<f64> = numbers.map_while(Result::ok).collect();
        let [cpu, whole, named] = numbers[..] else {
            panic!("no row of {}: {said}", path.display())
        };
        (cpu > 30.0 && whole > 98.0, named, lines.next().unwrap_or_default().trim())
    };
    let (is_well_seen, named, names) = told(&shares);
    assert!(is_well_seen && named > 98.0, "{said}");
    assert_eq!(names, "names: its own debug information", "{said}");
    let (is_well_seen, named, names) = told(&stripped);
    assert!(is_well_seen && named < 2.0, "{said}");
    assert!(names.starts_with("names: only the functions it offers"), "{said}");
    assert!(said.contains("Install the program's debug symbols"), "{said}");
}

#[test]
fn a_command_that_fails_fails_the_recording_and_leaves_the_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("out.folded");
    let words = ["-o", &file.to_string_lossy(), "--", "sh", "-c", "exit 7"];
    let output = record(words).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // 2 and 3 have a meaning of the agent's own, so the command's code is said, not passed on.
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("exit status: 7"), "{said}");
    assert!(file.exists());
}

#[test]
fn an_unknown_ending_is_refused_before_anything_runs() {
    let folder = TempDir::new().unwrap();
    let (out, witness) = (folder.path().join("out.txt"), folder.path().join("ran"));
    let words = ["-o", &out.to_string_lossy(), "--", "touch", &witness.to_string_lossy()];
    let output = record(words).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!witness.exists());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!([".svg", ".pb.gz", ".folded"].iter().all(|ending| said.contains(ending)), "{said}");
}
