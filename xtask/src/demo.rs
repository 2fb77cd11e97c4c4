//! `cargo xtask demo`: from nothing to a flame graph of this host, until Ctrl-C.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::command::{cargo, run as run_command};
use crate::stack::{Layout, Stack, remove, scratch};
use crate::{rights, setup, workloads};

const DEFAULT_PORT: u16 = 4040;

static STOPPED: AtomicBool = AtomicBool::new(false);

pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    rights::check()?;
    let folder = scratch("demo")?;
    let layout = Layout {
        port: options.port,
        data: options.data.unwrap_or_else(|| folder.join("data")),
        logs: folder.join("logs"),
        services: workloads::services::missing().is_empty(),
    };
    layout.check_ports()?;
    setup::run(&[])?;
    run_command(&mut cargo(["build", "--workspace", "--bins"]))?;
    workloads::build_demo()?;
    if layout.services {
        workloads::services::build(&workloads::folder()?)?;
    } else {
        let missing = workloads::services::missing().join(", ");
        println!("no HTTP services are shown: their shop needs {missing}, which is not here");
    }
    catch_signals();
    let shown = show(&layout);
    if shown.is_ok() {
        remove(&folder);
    } else {
        eprintln!("logs: {}", layout.logs.display());
    }
    shown
}

fn show(layout: &Layout) -> Result<()> {
    let started = Instant::now();
    let mut stack = Stack::start(layout, || !STOPPED.load(Ordering::Relaxed))?;
    println!("\nThe first profile came after {:.1} s.", started.elapsed().as_secs_f64());
    println!("Open  {}?from=now-15m&until=now", stack.url());
    if layout.services {
        println!("      {} for the shop's services, traces and map", stack.services_url());
    }
    println!("Ctrl-C stops the agent, the collector and the demo workload.");
    while !STOPPED.load(Ordering::Relaxed) {
        stack.check()?;
        sleep(Duration::from_millis(200));
    }
    println!("\nstopping");
    stack.stop()
}

struct Options {
    port: u16,
    data: Option<PathBuf>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self { port: DEFAULT_PORT, data: None };
        let mut args = args.iter();
        while let Some(flag) = args.next() {
            let value = args.next().with_context(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--port" => {
                    let port = value.parse().ok().filter(|port| (1..u16::MAX).contains(port));
                    options.port = port.with_context(|| {
                        format!("--port {value}: a number from 1 to 65534 is expected")
                    })?;
                }
                "--data" => options.data = Some(std::path::absolute(value).context("--data")?),
                _ => bail!("unknown flag {flag}; usage: cargo xtask demo [--port N] [--data DIR]"),
            }
        }
        Ok(options)
    }
}

fn catch_signals() {
    extern "C" fn stop(_signal: libc::c_int) {
        STOPPED.store(true, Ordering::Relaxed);
    }
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores into an atomic, which is allowed in a signal handler.
        unsafe { libc::signal(signal, stop as *const () as libc::sighandler_t) };
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options> {
        Options::parse(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn the_port_is_4040_unless_told() {
        assert_eq!(parse(&[]).unwrap().port, 4040);
        assert_eq!(parse(&["--port", "5000"]).unwrap().port, 5000);
    }

    #[test]
    fn a_port_without_a_next_one_is_refused() {
        assert!(parse(&["--port", "65535"]).is_err());
        assert!(parse(&["--port", "0"]).is_err());
        assert!(parse(&["--port"]).is_err());
    }
}
