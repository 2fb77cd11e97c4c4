//! The log: lines on standard error, coloured on a terminal.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level or the directives are not understood.
    #[error("{level:?} is no log level and no filter")]
    Level {
        /// What was given.
        level: String,
    },
    /// A log was started before.
    #[error("the log is started already")]
    Started,
}

/// Starts the log of the whole process; `level` is a level or filter directives.
///
/// # Errors
/// When the level is not understood, or a log was started before.
pub fn start_log(level: &str) -> Result<(), LogError> {
    let filter =
        EnvFilter::try_new(level).map_err(|_| LogError::Level { level: level.to_owned() })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init()
        .map_err(|_| LogError::Started)
}
