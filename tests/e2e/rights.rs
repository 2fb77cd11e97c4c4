//! The agent with less than all rights: it runs, or says what is missing.

use std::process::Command;

use sonde_tests::collector::Collector;
use sonde_tests::workload::program;
use sonde_tests::{Agent, binary};
use tempfile::TempDir;

#[test]
fn root_without_cap_sys_resource_is_enough() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path()).unwrap();
    let mut less = Command::new("setpriv");
    less.args(["--bounding-set=-sys_resource", "--inh-caps=-sys_resource"]);
    less.arg("prlimit").arg("--memlock=65536").arg(binary("SONDE_AGENT_BIN").unwrap());
    let mut agent = Agent::start_by(less, &collector, folder.path()).unwrap();
    assert!(agent.metrics().unwrap().ends_with("# EOF\n"));
    assert!(agent.process.stop(libc::SIGTERM).unwrap().success());
}

/// The set of `deploy/systemd/sonde-agent.service`.
#[test]
fn five_capabilities_are_enough_for_named_kernel_and_user_stacks() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out.folded");
    let mut less = Command::new("setpriv");
    less.arg("--bounding-set=-all,+bpf,+perfmon,+sys_ptrace,+dac_read_search,+syslog");
    less.arg("--inh-caps=-all").arg(binary("SONDE_AGENT_BIN").unwrap()).arg("record");
    less.arg("-o").arg(&out).arg("--").arg(program("syscalls").unwrap()).arg("3");
    let output = less.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stacks = std::fs::read_to_string(&out).unwrap();
    assert!(stacks.contains("copy_zeroes") && stacks.contains("vfs_read"), "{stacks}");
}

#[test]
fn without_any_right_it_exits_with_3_and_names_what_is_missing() {
    let agent = binary("SONDE_AGENT_BIN").unwrap();
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out.folded");
    let mut less = Command::new("setpriv");
    less.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(agent).arg("record");
    let output = less.args(["--duration", "1s", "-o"]).arg(out).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("CAP_BPF") || said.contains("root"), "{said}");
}

#[test]
fn probe_says_what_this_kernel_allows() {
    let output = Command::new(binary("SONDE_AGENT_BIN").unwrap()).arg("probe").output().unwrap();
    assert!(output.status.success());
    assert!(output.stdout.len() > 100, "{}", String::from_utf8_lossy(&output.stdout));
}
