//! What a request costs the server that is watched, and the agent that watches: nginx under wrk, in
//! rounds with the agent and without.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::measure::cpu_seconds;
use crate::command::output;
use crate::process::Process;
use crate::stack::{free_port, remove, scratch};
use crate::{packages, place};

const ROUNDS: usize = 5;
const CONNECTIONS: &str = "16";
const SECONDS: &str = "4s";
/// How long the agent is given for what it still holds.
const REST: Duration = Duration::from_secs(2);

/// One round.
struct Round {
    requests: u64,
    server_us: f64,
    /// Of the agent, in user and kernel mode.
    agent_us: f64,
    /// Requests that the agent told of.
    told: u64,
    /// What it says it has lost, by reason.
    lost: String,
}

pub(super) fn run() -> Result<()> {
    packages::install_servers()?;
    packages::install("loading nginx", &["wrk", "curl"])?;
    super::build()?;
    let folder = scratch("bench")?;
    let port = free_port()?;
    let nginx = server(&folder, port)?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    // Where its code and the kernel's are warm.
    round(&folder, port, nginx.id(), false)?;
    for _ in 0..ROUNDS {
        without.push(round(&folder, port, nginx.id(), false)?);
        with.push(round(&folder, port, nginx.id(), true)?);
    }
    drop(nginx);
    remove(&folder);
    print(&without, &with);
    Ok(())
}

fn server(folder: &Path, port: u16) -> Result<Process> {
    let at = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String =
        temporary.iter().map(|kind| format!("{kind}_temp_path {at}/{kind};")).collect();
    let configuration = format!(
        "daemon off; master_process off; pid {at}/pid; events {{ worker_connections 256; }}
         http {{ access_log off; keepalive_requests 100000000; {temporary}
                 server {{ listen 127.0.0.1:{port}; location = /requests {{ stub_status; }}
                           location / {{ return 200 \"hello\\n\"; }} }} }}"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration).context("write nginx's configuration")?;
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-c").arg(file).arg("-e").arg(folder.join("errors"));
    let mut nginx = Process::start("nginx", command, folder)?;
    sleep(Duration::from_secs(1));
    nginx.check()?;
    Ok(nginx)
}

fn round(folder: &Path, port: u16, server: u32, watched: bool) -> Result<Round> {
    let own = free_port()?;
    let agent = if watched {
        let mut agent = Command::new(place::built("sonde-agent")?);
        agent.args(["run", "--requests", "on", "--frequency", "1", "--window", "1s"]);
        // Nobody listens there: sending is not what is measured.
        agent.args(["--collector", "http://127.0.0.1:9"]);
        agent.args(["--listen", &format!("127.0.0.1:{own}")]);
        let agent = Process::start("agent", agent, folder)?;
        sleep(Duration::from_secs(3));
        Some(agent)
    } else {
        None
    };
    let agent_cpu = || agent.as_ref().map_or(Ok(0.0), |agent| cpu_seconds(agent.id()));
    let (counted, cpu, agent_before) = (served(port)?, cpu_ns(server)?, agent_cpu()?);
    let url = format!("http://127.0.0.1:{port}/hello");
    output(Command::new("wrk").args(["-t1", "-c", CONNECTIONS, "-d", SECONDS, &url]))?;
    let used = cpu_ns(server)? - cpu;
    // The question for the number is a request as well.
    let requests = served(port)? - counted - 1;
    let (told, lost) = if watched {
        sleep(REST);
        told(own)?
    } else {
        (0, String::new())
    };
    let per_request = |seconds: f64| seconds * 1e6 / requests as f64;
    Ok(Round {
        requests,
        server_us: per_request(used as f64 / 1e9),
        agent_us: per_request(agent_cpu()? - agent_before),
        told,
        lost,
    })
}

/// CPU time of a process of one thread, in nanoseconds.
fn cpu_ns(pid: u32) -> Result<u64> {
    let text =
        fs::read_to_string(format!("/proc/{pid}/schedstat")).context("read its schedstat")?;
    text.split_whitespace().next().and_then(|ns| ns.parse().ok()).context("no time in it")
}

/// Requests that nginx counted.
fn served(port: u16) -> Result<u64> {
    let text =
        output(Command::new("curl").args(["-s", &format!("http://127.0.0.1:{port}/requests")]))?;
    let line = text.lines().nth(2).and_then(|line| line.split_whitespace().nth(2));
    line.and_then(|count| count.parse().ok()).with_context(|| format!("no count in {text:?}"))
}

/// Requests for the page that the agent told of, and what it lost.
fn told(port: u16) -> Result<(u64, String)> {
    let text =
        output(Command::new("curl").args(["-s", &format!("http://127.0.0.1:{port}/metrics")]))?;
    let counts = text.lines().filter(|line| {
        line.starts_with("http_server_request_duration_seconds_count{")
            && line.contains("http_route=\"/hello\"")
    });
    let counts = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
    let losses = text.lines().filter_map(|line| line.strip_prefix("sonde_agent_http_losses_total"));
    Ok((counts, losses.collect::<Vec<_>>().join(" ")))
}

fn print(without: &[Round], with: &[Round]) {
    println!(
        "| nginx, {CONNECTIONS} connections of wrk, a round each | µs a request | with the agent | more | agent, µs | told of |"
    );
    println!("|---|---|---|---|---|---|");
    for (number, (off, on)) in without.iter().zip(with).enumerate() {
        println!(
            "| {} | {:.2} | {:.2} | {:.2} | {:.2} | {} of {} {} |",
            number + 1,
            off.server_us,
            on.server_us,
            on.server_us - off.server_us,
            on.agent_us,
            on.told,
            on.requests,
            on.lost,
        );
    }
    let mut more: Vec<f64> =
        without.iter().zip(with).map(|(off, on)| on.server_us - off.server_us).collect();
    more.sort_by(f64::total_cmp);
    let (told, all): (u64, u64) =
        with.iter().fold((0, 0), |sum, on| (sum.0 + on.told, sum.1 + on.requests));
    println!(
        "\nmedian {:.2} µs more a request (goal 1.3); {:.4} % of {all} requests told of (goal 99.99)",
        more[more.len() / 2],
        100.0 * told as f64 / all as f64,
    );
}
