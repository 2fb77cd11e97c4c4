//! Starting the agent, and nothing else, with the right to load BPF programs: as root it just
//! starts, otherwise through sudo.

use std::ffi::OsStr;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::command::{command, run};
use crate::place;

/// Runs `"$@"` until its end, or until the other end of standard input is closed. So a task stops
/// what runs as root without a password asked for again, and it stops even if the task is killed.
const UNTIL_CLOSED: &str = r#"exec 3<&0
"$@" </dev/null 3<&- & agent=$!
{ read -r _ <&3; kill "$agent"; } 2>/dev/null & watch=$!
exec 3<&-
wait "$agent"; code=$?
kill "$watch" 2>/dev/null
exit "$code""#;

/// Whether the agent can be started, asked before anything is built for minutes.
pub(crate) fn check() -> Result<()> {
    if place::is_root() {
        return Ok(());
    }
    if place::program("sudo").is_none() {
        bail!(
            "loading BPF programs needs root, and there is no sudo here: \
             install sudo, or run this as root"
        );
    }
    if !std::io::stdin().is_terminal() && !without_password() {
        bail!(
            "loading BPF programs needs root; sudo wants a password for it, and there is no \
             terminal to ask on: run this in a terminal, or as root"
        );
    }
    Ok(())
}

/// The agent with the rights that it needs. With sudo, the password is asked for here.
pub(crate) fn agent(program: &Path) -> Result<Command> {
    if place::is_root() {
        return Ok(Command::new(program));
    }
    println!("sudo for the agent alone: loading BPF programs needs root");
    if !without_password() {
        run(&mut command("sudo", ["-v"]))?;
    }
    Ok(through("sudo", program))
}

fn through(sudo: &str, program: &Path) -> Command {
    let mut command = Command::new(sudo);
    command.args(["-n", "--", "sh", "-c", UNTIL_CLOSED, "sh"]).arg(program);
    command
}

/// Whether a command of [`agent`] ends by closing its standard input.
pub(crate) fn is_through_sudo(command: &Command) -> bool {
    Path::new(command.get_program()).file_name() == Some(OsStr::new("sudo"))
}

fn without_password() -> bool {
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    sudo.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;
    use crate::process::Process;

    /// A sudo that asks nothing and changes nobody, and a program with this text.
    fn privileged(folder: &TempDir, text: &str) -> Process {
        let script = |name: &str, text: &str| {
            let path = folder.path().join(name);
            let mut file = std::fs::File::create(&path).unwrap();
            writeln!(file, "#!/bin/sh\n{text}").unwrap();
            file.set_permissions(PermissionsExt::from_mode(0o755)).unwrap();
            path
        };
        let sudo = script("sudo", "shift 2; exec \"$@\"");
        let program = script("program", text);
        let command = through(sudo.to_str().unwrap(), &program);
        assert!(is_through_sudo(&command));
        Process::start("agent", command, folder.path()).unwrap()
    }

    fn written(folder: &TempDir, words: &str) -> bool {
        let log = folder.path().join("agent.log");
        (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            std::fs::read_to_string(&log).unwrap().contains(words)
        })
    }

    #[test]
    fn what_runs_through_sudo_is_asked_to_end_without_sudo() {
        let folder = tempfile::tempdir().unwrap();
        let text = "trap 'echo flushed; exit 0' TERM; echo ready; while :; do sleep 0.02; done";
        let mut agent = privileged(&folder, text);
        assert!(written(&folder, "ready"));
        let status = agent.stop(Duration::from_secs(5)).unwrap().unwrap();
        assert!(status.success() && written(&folder, "flushed"), "{status}");
    }

    #[test]
    fn an_agent_that_fails_by_itself_is_seen_to_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut agent = privileged(&folder, "echo no; exit 3");
        assert!(written(&folder, "no"));
        let ended = (0..500).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            agent.check().err()
        });
        assert!(ended.unwrap().to_string().contains("exit status: 3"));
    }
}
