//! Servers of the distribution, each in a folder and on a port of its own, under load.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::pprof::{self, Profile};
use crate::process::Process;
use crate::workload::source;
use crate::{free_port, record, wait_until};

/// A server, and who keeps it busy.
pub struct Server {
    process: Process,
    /// What makes it end in good order.
    stop: i32,
    load: Option<Process>,
    folder: TempDir,
}

/// Where [`Server::web`] is found.
pub struct Web {
    /// On 127.0.0.1 and ::1. `/requests` tells how many requests it has served, itself included;
    /// `/large` is a file; everything else is six bytes.
    pub port: u16,
    /// Path of its Unix socket.
    pub socket: PathBuf,
    /// Bytes of the file.
    pub large: usize,
}

/// Load goes on for longer than anybody records.
const SECONDS: &str = "60";

/// Clients of PostgreSQL, each of which has a process of the server.
const CLIENTS: usize = 4;

impl Server {
    /// nginx with two workers, which send a page, compressed.
    ///
    /// # Errors
    /// When something is not installed, or the server does not answer.
    pub fn nginx() -> Result<Self> {
        let (folder, port) = (folder()?, free_port()?);
        let at = folder.path();
        fs::write(at.join("page.html"), "<p>What a page says, again and again.</p>\n".repeat(500))?;
        fs::write(at.join("conf"), nginx_configuration(at, port))?;
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-c").arg(at.join("conf")).arg("-e").arg(at.join("errors"));
        let process = started(command, at, port)?;
        let mut load = Command::new("ab");
        load.args(["-q", "-k", "-c", "8", "-t", SECONDS, "-n", "100000000"]);
        load.args(["-H", "Accept-Encoding: gzip", &format!("http://127.0.0.1:{port}/page.html")]);
        let load = Some(Process::start(load, &at.join("load"))?);
        Ok(Self { process, stop: libc::SIGQUIT, load, folder })
    }

    /// nginx with one worker for requests of all kinds, on a port of IPv4 and IPv6 and on a socket in
    /// its folder. Keeps no load.
    ///
    /// # Errors
    /// As [`Server::nginx`].
    pub fn web() -> Result<(Self, Web)> {
        let (folder, port) = (folder()?, free_port()?);
        let at = folder.path();
        let web = Web { port, socket: at.join("socket"), large: 64 << 20 };
        fs::write(at.join("large"), vec![b'x'; web.large])?;
        // What is put there is read whole before it is answered; the worker is another user.
        fs::create_dir(at.join("uploads"))?;
        fs::set_permissions(at.join("uploads"), fs::Permissions::from_mode(0o777))?;
        fs::write(at.join("conf"), web_configuration(at, port))?;
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-c").arg(at.join("conf")).arg("-e").arg(at.join("errors"));
        let process = started(command, at, port)?;
        Ok((Self { process, stop: libc::SIGQUIT, load: None, folder }, web))
    }

    /// redis-server, through all that redis-benchmark asks of it.
    ///
    /// # Errors
    /// As [`Server::nginx`].
    pub fn redis() -> Result<Self> {
        let (folder, port) = (folder()?, free_port()?.to_string());
        let at = folder.path();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--dir"]).arg(at);
        let process = started(command, at, port.parse()?)?;
        let mut load = Command::new("redis-benchmark");
        load.args(["-h", "127.0.0.1", "-p", &port, "-q", "-l", "-n", "20000", "-P", "4"]);
        let load = Some(Process::start(load, &at.join("load"))?);
        Ok(Self { process, stop: libc::SIGTERM, load, folder })
    }

    /// PostgreSQL, as the user that Debian made for it, with clients that do pgbench's usual mix.
    ///
    /// # Errors
    /// As [`Server::nginx`].
    pub fn postgres() -> Result<Self> {
        let (folder, port, programs) = (folder()?, free_port()?, postgres_programs()?);
        let at = &folder.path().to_path_buf();
        let data = at.join("data");
        let mut owned = Command::new("chown");
        done(owned.arg("postgres:").arg(at))?;
        let program = |name: &str| as_postgres(at, &programs.join(name));
        done(program("initdb").args(["-A", "trust", "--no-sync", "-D"]).arg(&data))?;
        let mut command = program("postgres");
        command.arg("-D").arg(&data).arg("-k").arg(at).args(["-h", "127.0.0.1", "-F"]);
        command.args(["-p", &port.to_string()]);
        let process = started(command, at, port)?;
        let pgbench = || {
            let mut command = program("pgbench");
            command.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
            command
        };
        let mut server = Self { process, stop: libc::SIGINT, load: None, folder };
        done(pgbench().args(["-i", "-q", "-s", "2", "postgres"]))?;
        let patience = Duration::from_secs(20);
        let clients = |server: &Self| server.family().filter(|pid| serves_client(*pid)).count();
        wait_until("the first connection's end", patience, || clients(&server) == 0)?;
        let mut load = pgbench();
        load.args(["-c", &CLIENTS.to_string(), "-T", SECONDS, "postgres"]);
        server.load = Some(Process::start(load, &server.folder.path().join("load"))?);
        // Who is forked between a look at the family and the recording's begin is missed by both.
        wait_until("pgbench's clients", patience, || clients(&server) == CLIENTS)?;
        Ok(server)
    }

    /// The distribution's Python, busy with a script; not another that may be first in `PATH`.
    ///
    /// # Errors
    /// As [`Server::nginx`].
    pub fn python() -> Result<Self> {
        let folder = folder()?;
        let mut command = Command::new("/usr/bin/python3");
        command.arg(source("busy.py")).arg(SECONDS);
        let process = Process::start(command, &folder.path().join("log"))?;
        Ok(Self { process, stop: libc::SIGTERM, load: None, folder })
    }

    /// Records it with all its processes for so long; returns the profile and what the agent said.
    ///
    /// # Errors
    /// When the recording fails.
    pub fn record(&self, frequency: &str, duration: &str) -> Result<(Profile, String)> {
        let file = self.folder.path().join("out.pb.gz");
        let mut words = vec!["--frequency".to_owned(), frequency.to_owned()];
        words.extend(["--duration".to_owned(), duration.to_owned()]);
        for pid in self.family() {
            words.extend(["--pid".to_owned(), pid.to_string()]);
        }
        words.extend(["-o".to_owned(), file.display().to_string()]);
        let output = record(words)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "{said}");
        Ok((pprof::read(&file)?, said))
    }

    fn family(&self) -> impl Iterator<Item = u32> {
        family(self.process.id()).into_iter()
    }

    /// Ends load and server.
    ///
    /// # Errors
    /// When the load ended before, or the server does not end.
    pub fn stop(mut self) -> Result<()> {
        if let Some(load) = &mut self.load {
            anyhow::ensure!(load.runs(), "the load ended too soon: {}", load.output());
            load.crash()?;
        }
        anyhow::ensure!(self.process.runs(), "it ended before: {}", self.process.output());
        self.process.stop(self.stop).map(drop)
    }
}

/// In good order also when a test fails: killed, PostgreSQL leaves shared memory behind.
impl Drop for Server {
    fn drop(&mut self) {
        if self.process.runs() {
            let _ended = self.process.stop(self.stop);
        }
    }
}

fn nginx_configuration(at: &Path, port: u16) -> String {
    let (temporary, at) = (temporary_folders(at), at.display());
    format!(
        "daemon off; worker_processes 2; pid {at}/pid;
         events {{ worker_connections 64; }}
         http {{ access_log off; gzip on; gzip_http_version 1.0; keepalive_requests 1000000;
                 {temporary}
                 server {{ listen 127.0.0.1:{port}; root {at}; }} }}"
    )
}

/// nginx's own are in folders that only its package's user may write to.
fn temporary_folders(at: &Path) -> String {
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let lines = kinds.map(|kind| format!("{kind}_temp_path {0}/{kind};", at.display()));
    lines.join(" ")
}

fn web_configuration(at: &Path, port: u16) -> String {
    let (temporary, at) = (temporary_folders(at), at.display());
    format!(
        "daemon off; worker_processes 1; pid {at}/pid;
         events {{ worker_connections 256; }}
         http {{ access_log off; keepalive_requests 1000000; sendfile on; {temporary}
                 server {{ listen 127.0.0.1:{port}; listen [::1]:{port}; listen unix:{at}/socket; root {at};
                           location = /requests {{ stub_status; }}
                           location = /large {{ }}
                           location = /upload {{ dav_methods PUT; root {at}/uploads; }}
                           location / {{ return 200 \"hello\n\"; }} }} }}"
    )
}

/// The newest version's.
fn postgres_programs() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not installed")?;
    let versions = versions.flatten().map(|version| version.path().join("bin"));
    let mut found: Vec<PathBuf> =
        versions.filter(|programs| programs.join("initdb").exists()).collect();
    found.sort();
    found.pop().context("no version of PostgreSQL's server is installed")
}

/// It refuses to run as root.
fn as_postgres(at: &Path, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--reset-env"]);
    command.arg(program).current_dir(at);
    command
}

/// A folder that the server's own user can enter.
fn folder() -> Result<TempDir> {
    let folder = TempDir::new().context("make a folder")?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

fn done(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?}: {said}");
    Ok(())
}

/// Starts a server and waits until it takes connections.
fn started(command: Command, at: &Path, port: u16) -> Result<Process> {
    let what = format!("{command:?}");
    let mut process = Process::start(command, &at.join("log"))?;
    let connects = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    let waited = wait_until(&what, Duration::from_secs(20), || connects() || !process.runs());
    waited.with_context(|| process.output())?;
    anyhow::ensure!(process.runs(), "{what} ended; it wrote:\n{}", process.output());
    Ok(process)
}

/// PostgreSQL's processes say in their names whom they serve.
fn serves_client(pid: u32) -> bool {
    let name = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&name).contains(" 127.0.0.1(")
}

/// A process and all that it started and that still run.
fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(pid).chain(children.flat_map(family)).collect()
}
