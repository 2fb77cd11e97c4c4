//! Bad input to the agent: programs and files made to break a symbolizer. It stays up, and counts.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use sonde_tests::Agent;
use sonde_tests::collector::Collector;
use sonde_tests::workload::{Used, Workload, program};
use tempfile::TempDir;

fn named(folder: &Path, name: &str) -> Command {
    let mut command = Command::new(folder.join(name));
    command.arg("8");
    command
}

/// A copy of `shares` whose section headers are noise; the kernel runs it all the same.
fn corrupt_copy(to: &Path) {
    let mut bytes = fs::read(program("shares").unwrap()).unwrap();
    let at = bytes[40..48].try_into().map(usize::from_ne_bytes).unwrap();
    let end = bytes.len();
    let noise = (0..=250_u8).cycle().map(|byte| byte.wrapping_mul(131));
    bytes[at.min(end)..].iter_mut().zip(noise).for_each(|(byte, noise)| *byte = noise);
    fs::write(to, bytes).unwrap();
}

/// A copy of `shares` blown up to 10 GB with a hole.
fn sparse_copy(to: &Path) {
    fs::copy(program("shares").unwrap(), to).unwrap();
    let mut file = OpenOptions::new().write(true).open(to).unwrap();
    file.seek(SeekFrom::Start(10 << 30)).unwrap();
    file.write_all(b"end").unwrap();
}

fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn broken_sparse_and_deleted_executables_are_counted_not_fatal() {
    let folder = TempDir::new().unwrap();
    let (corrupt, sparse, deleted) = ("corrupt", "sparse", "deleted");
    let path = |name: &str| folder.path().join(name);
    corrupt_copy(&path(corrupt));
    sparse_copy(&path(sparse));
    fs::copy(program("shares").unwrap(), path(deleted)).unwrap();
    [corrupt, sparse, deleted].iter().for_each(|name| executable(&path(name)));

    let collector = Collector::start(folder.path()).unwrap();
    let mut agent = Agent::start(&collector, folder.path()).unwrap();
    let start =
        |name: &str| Workload::start(name, named(folder.path(), name), folder.path()).unwrap();
    let running = [start(corrupt), start(sparse), start(deleted)];
    fs::remove_file(path(deleted)).unwrap();
    let used: Vec<Used> = running.into_iter().map(|w| w.finish().unwrap()).collect();
    assert!(agent.process.runs(), "{}", agent.process.output());
    let resident = agent.process.resident_kb();
    assert!(resident < 300_000, "the agent has {resident} kB");
    assert!(agent.process.stop(libc::SIGTERM).unwrap().success(), "{}", agent.process.output());
    for (name, used) in [corrupt, sparse, deleted].into_iter().zip(used) {
        let found = collector.service(name).unwrap().seconds();
        let error = used.error(found);
        assert!(error.abs() <= used.tolerance().max(5.0), "{name}: {found:.2} s of {used:?}");
    }
}

#[test]
fn a_perf_map_that_is_being_written_is_read_as_far_as_it_goes() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path()).unwrap();
    let mut agent = Agent::start(&collector, folder.path()).unwrap();
    let mut work = Command::new(program("shares").unwrap());
    work.arg("6");
    let mut workload = Workload::start("shares", work, folder.path()).unwrap();
    let map = Path::new("/tmp").join(format!("perf-{}.map", workload.process().id()));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = File::create(&map).unwrap();
            let mut address = 0x7f00_0000_0000_u64;
            while !stop.load(Ordering::Relaxed) {
                write!(file, "{address:x} 40 jit_function_").unwrap();
                thread::sleep(Duration::from_micros(200));
                writeln!(file, "{address}\nzz not a line\n{:x}", u64::MAX).unwrap();
                address += 0x40;
            }
        });
        thread::sleep(Duration::from_secs(6));
        stop.store(true, Ordering::Relaxed);
    });
    let _best_effort = fs::remove_file(&map);
    workload.finish().unwrap();
    assert!(agent.process.stop(libc::SIGTERM).unwrap().success(), "{}", agent.process.output());
    assert!(collector.service("shares").unwrap().share("work_sixty") > 50.0);
}

#[test]
fn processes_that_vanish_while_they_are_read_do_no_harm() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path()).unwrap();
    let mut agent = Agent::start(&collector, folder.path()).unwrap();
    for _ in 0..400 {
        // Gone within a millisecond, mostly before anybody can look at it.
        Command::new("true").status().unwrap();
    }
    assert!(agent.process.runs(), "{}", agent.process.output());
    assert!(agent.process.stop(libc::SIGTERM).unwrap().success(), "{}", agent.process.output());
    assert!(!agent.process.output().contains("panicked"), "{}", agent.process.output());
}
