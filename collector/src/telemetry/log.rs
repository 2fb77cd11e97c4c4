//! The log: structured lines to standard error.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// Starts the log with a checked filter. A second start in one process changes nothing.
pub fn start_log(filter: &str) {
    let filter = filter.parse().unwrap_or_else(|_| EnvFilter::new("info"));
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .try_init();
    if started.is_err() {
        tracing::debug!("the log runs already");
    }
}
