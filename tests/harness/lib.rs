//! Drives Sonde's two binaries as a user would: starts them, waits for a condition, reads what they
//! serve and write with readers of its own.

pub mod bpf;
pub mod collector;
pub mod folded;
pub mod http;
pub mod mounts;
pub mod pprof;
pub mod process;
pub mod push;
pub mod recording;
pub mod server;
pub mod workload;

mod agent;

pub use agent::{Agent, doctor, record};

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Polls `condition` until it is true, or says that `what` did not come within `patience`.
///
/// # Errors
/// When the time is over.
pub fn wait_until(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> bool,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + patience;
    while !condition() {
        anyhow::ensure!(Instant::now() < deadline, "waited {patience:?} for {what} in vain");
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A port on 127.0.0.1 that was free a moment ago.
///
/// # Errors
/// When the system has none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The binary under test, whose path `cargo xtask test` gives in `variable`.
///
/// # Errors
/// When the variable is not set or names no file.
pub fn binary(variable: &str) -> anyhow::Result<std::path::PathBuf> {
    use anyhow::Context as _;
    let path = std::env::var_os(variable)
        .with_context(|| format!("{variable} is not set: run `cargo xtask test e2e`"))?;
    let path = std::path::PathBuf::from(path);
    anyhow::ensure!(path.exists(), "{variable} names {}, which is not there", path.display());
    Ok(path)
}
