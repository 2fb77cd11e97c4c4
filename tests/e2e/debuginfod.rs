//! A stripped program gets its names from a debuginfod server while it runs.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sonde_tests::collector::Collector;
use sonde_tests::workload::{Workload, program};
use sonde_tests::{Agent, binary, wait_until};
use tempfile::TempDir;

/// Serves one file for its build id, and nothing else. Returns its address.
fn serve(build_id: &str, file: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let wanted = format!("GET /buildid/{build_id}/debuginfo HTTP/1.1");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            respond(stream.unwrap(), &wanted, &file).unwrap();
        }
    });
    url
}

fn respond(mut stream: TcpStream, wanted: &str, file: &[u8]) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let found = lines.next().transpose()?.as_deref() == Some(wanted);
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let (status, body) = if found { ("200 OK", file) } else { ("404 Not Found", &b""[..]) };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len())?;
    stream.write_all(body)
}

fn tool(folder: &Path, name: &str, words: &[&str]) -> String {
    let output = Command::new(name).current_dir(folder).args(words).output().unwrap();
    assert!(output.status.success(), "{name} {words:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes the stripped program `quiet` in a folder. Returns the address of a server that has its debug
/// file.
fn stripped(folder: &Path) -> String {
    fs::copy(program("shares").unwrap(), folder.join("quiet")).unwrap();
    tool(folder, "objcopy", &["--only-keep-debug", "quiet", "quiet.debug"]);
    tool(folder, "strip", &["quiet"]);
    let notes = tool(folder, "readelf", &["--notes", "quiet"]);
    let build_id = notes.split("Build ID: ").nth(1).unwrap().lines().next().unwrap().trim();
    serve(build_id, fs::read(folder.join("quiet.debug")).unwrap())
}

#[test]
fn a_stripped_program_is_named_in_the_profiles_after_its_debug_file_came() {
    let folder = TempDir::new().unwrap();
    let url = stripped(folder.path());
    let collector = Collector::start(folder.path()).unwrap();
    let mut command = Command::new(binary("SONDE_AGENT_BIN").unwrap());
    command.env("SONDE_AGENT_DEBUGINFOD_URLS", url);
    command.env("SONDE_AGENT_DEBUGINFOD_CACHE", folder.path().join("cache"));
    let agent = Agent::start_by(command, &collector, folder.path()).unwrap();
    let mut quiet = Command::new(folder.path().join("quiet"));
    quiet.arg("16");
    let _quiet = Workload::start("quiet", quiet, folder.path()).unwrap();
    let top = || collector.service("quiet").unwrap();
    let named = || top().share("work_sixty") > 10.0;
    let waited = wait_until("names", Duration::from_secs(15), named);
    let (metrics, names) = (agent.metrics().unwrap(), format!("{:?}", top().names()));
    waited.unwrap_or_else(|error| panic!("{error}: {names}\n{}", agent.process.output()));
    assert!(names.contains("[stripped"), "before it came: {names}");
    let fetched = "sonde_agent_debuginfod_files_total{outcome=\"fetched\"} 1";
    assert!(metrics.contains(fetched), "{metrics}");
}

#[test]
fn a_recording_waits_for_debug_files() {
    let folder = TempDir::new().unwrap();
    let url = stripped(folder.path());
    let out = folder.path().join("out.folded");
    let mut record = Command::new(binary("SONDE_AGENT_BIN").unwrap());
    record.env("SONDE_AGENT_DEBUGINFOD_CACHE", folder.path().join("cache"));
    record.args(["record", "--debuginfod-urls", &url, "-o"]).arg(&out).arg("--");
    let output = record.arg(folder.path().join("quiet")).arg("2").output().unwrap();
    let text = fs::read_to_string(&out).unwrap();
    assert!(text.contains("work_sixty") && !text.contains(": quiet]"), "{output:?}\n{text}");
}
