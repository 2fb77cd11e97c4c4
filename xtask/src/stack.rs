//! Collector, agent and demo workload, started together: what `demo` shows and browser tests visit.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::process::Process;
use crate::{place, rights, workloads};

/// The processes, in the order in which they are stopped.
pub(crate) struct Stack {
    services: Vec<Process>,
    workload: Process,
    agent: Process,
    collector: Process,
    port: u16,
}

/// Where the stack listens and keeps its data.
pub(crate) struct Layout {
    /// The collector's port; the agent takes the next one.
    pub(crate) port: u16,
    pub(crate) data: PathBuf,
    pub(crate) logs: PathBuf,
    /// Also runs a shop of HTTP services, and measures their requests.
    pub(crate) services: bool,
}

impl Layout {
    /// Fails, naming the port, when one of the two is taken.
    pub(crate) fn check_ports(&self) -> Result<()> {
        for (port, what) in [(self.port, "the collector"), (self.agent_port(), "the agent")] {
            if let Err(error) = TcpListener::bind(("127.0.0.1", port)) {
                bail!(
                    "port {port} for {what} is not free ({error}); \
                     give another with --port N (it takes N and N+1)"
                );
            }
        }
        Ok(())
    }

    fn agent_port(&self) -> u16 {
        self.port.saturating_add(1)
    }
}

impl Stack {
    /// Starts the three and waits until the collector has a profile, or `keep_on` says no.
    pub(crate) fn start(layout: &Layout, keep_on: impl Fn() -> bool) -> Result<Self> {
        for folder in [&layout.data, &layout.logs] {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        let mut collector = Process::start("collector", collector(layout)?, &layout.logs)?;
        let ready = || get(layout.port, "/readyz").is_ok();
        wait(ready, &mut [&mut collector], "the collector's /readyz", &keep_on)?;
        let agent = Process::start("agent", agent(layout)?, &layout.logs)?;
        let shop = Command::new(workloads::folder()?.join("shop"));
        let workload = Process::start("workload", shop, &layout.logs)?;
        let services = if layout.services { services(layout)? } else { Vec::new() };
        let mut stack = Self { services, workload, agent, collector, port: layout.port };
        stack.wait_for_profile(&keep_on)?;
        Ok(stack)
    }

    fn wait_for_profile(&mut self, keep_on: &impl Fn() -> bool) -> Result<()> {
        let port = self.port;
        let seen = || {
            get(port, "/api/v1/profile/types").is_ok_and(|body| body.contains("process_cpu:cpu"))
        };
        let mut all = [&mut self.collector, &mut self.agent, &mut self.workload];
        wait(seen, &mut all, "the first profile", keep_on)
    }

    /// Fails when one of them has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.services.iter_mut().try_for_each(Process::check)?;
        self.collector.check()?;
        self.agent.check()?;
        self.workload.check()
    }

    /// Stops the workload, then the agent (which flushes), then the collector.
    pub(crate) fn stop(mut self) -> Result<()> {
        // The customers first, as they came last.
        for service in self.services.iter_mut().rev() {
            service.stop(Duration::from_secs(3))?;
        }
        self.workload.stop(Duration::from_secs(3))?;
        self.agent.stop(Duration::from_secs(8))?;
        self.collector.stop(Duration::from_secs(8))?;
        Ok(())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/profiles", self.port)
    }

    pub(crate) fn services_url(&self) -> String {
        format!("http://127.0.0.1:{}/services", self.port)
    }
}

fn collector(layout: &Layout) -> Result<Command> {
    let mut collector = Command::new(place::built("sonde-collector")?);
    collector.arg("serve").arg("--listen").arg(format!("127.0.0.1:{}", layout.port));
    collector.arg("--data").arg(&layout.data);
    // The one port takes OTLP too: its own two are taken where they are free.
    for (flag, port) in [("--otlp-grpc", 4317), ("--otlp-http", 4318)] {
        if !layout.services || TcpListener::bind(("127.0.0.1", port)).is_err() {
            collector.args([flag, "off"]);
        }
    }
    Ok(collector)
}

fn agent(layout: &Layout) -> Result<Command> {
    let mut start = rights::agent(&place::built("sonde-agent")?)?;
    start.arg("run").arg("--collector").arg(format!("http://127.0.0.1:{}", layout.port));
    start.arg("--listen").arg(format!("127.0.0.1:{}", layout.agent_port()));
    // The daemon's default is 10 s: right for a fleet, long for a person who waits.
    start.args(["--window", "2s"]);
    if layout.services {
        start.args(["--requests", "on"]);
    }
    Ok(start)
}

/// A shop whose services ask one another, and its customers.
fn services(layout: &Layout) -> Result<Vec<Process>> {
    use workloads::services::{NAMES, start};
    let folder = workloads::folder()?.join("services");
    let ports = [free_port()?, free_port()?, free_port()?, free_port()?];
    NAMES
        .iter()
        .map(|name| Process::start(name, start(&folder, name, ports), &layout.logs))
        .collect()
}

fn wait(
    condition: impl Fn() -> bool,
    alive: &mut [&mut Process],
    what: &str,
    keep_on: &impl Fn() -> bool,
) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        for process in alive.iter_mut() {
            process.check()?;
        }
        if !keep_on() {
            bail!("stopped while waiting for {what}");
        }
        if Instant::now() > deadline {
            let logs: String = alive.iter().map(|process| process.last_lines(8)).collect();
            bail!("waited 60 s for {what} in vain. Last lines:\n{logs}");
        }
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The body of a 200 answer.
pub(crate) fn get(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no head in the answer")?;
    if head.split_whitespace().nth(1) != Some("200") {
        bail!("{path}: {}", head.lines().next().unwrap_or_default());
    }
    Ok(body.to_owned())
}

/// A pair of free ports, for tests.
pub(crate) fn free_port() -> Result<u16> {
    for _ in 0..50 {
        let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
        let port = listener.local_addr().context("read a listener's address")?.port();
        if (20_000..65_000).contains(&port) && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no two free ports side by side")
}

/// A new folder for one run's data and logs.
pub(crate) fn scratch(name: &str) -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("sonde-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok(folder)
}

/// Removes a folder made by [`scratch`].
pub(crate) fn remove(folder: &Path) {
    let _best_effort = fs::remove_dir_all(folder);
}
