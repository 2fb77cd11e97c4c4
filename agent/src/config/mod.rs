//! What was typed, set and written, to checked settings. Parsing touches nothing but the files named.
//!
//! Flags win over the environment, the environment over the file, the file over the defaults. All
//! that is wrong is said at once, each with where it comes from and what would be right.
#![forbid(unsafe_code)]

mod args;
mod debuginfod;
#[cfg(test)]
mod deploy_tests;
mod file;
mod kind;
mod layers;
mod otlp;
mod parse;
mod problem;
mod record;
mod resolve;
mod run;
mod secret;
mod series;
mod show;

pub use args::{Cli, Command, RecordArgs, RunArgs, SpanArgs};
pub use debuginfod::DebuginfodConfig;
pub use layers::{Environment, Source};
pub use problem::{ConfigError, Problem};
pub use record::{Output, OutputFormat, RecordSettings, doctor_settings, record_settings};
pub use run::{Effective, Origin, Settings, run_settings};
pub use secret::Secret;
