//! The settings of `run`: complete, checked, and each with where it comes from.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Secret;
use super::args::RunArgs;
use super::debuginfod::DebuginfodConfig;
use super::file::{self, FileValues};
use super::kind::{
    ADDRESS, BYTES, FREQUENCY, LINE, LOG_LEVEL, SWITCH, SYSCALLS, TABLE_BYTES, URL, WINDOW,
};
use super::layers::{Environment, Layers, Source};
use super::otlp::OtlpConfig;
use super::problem::ConfigError;
use super::resolve::Resolver;
use crate::export::push::{Credentials, PushSettings};
use crate::kernel::DEFAULT_TABLE_BYTES;
use crate::syscalls::SyscallMode;

/// Every key of the settings file.
const KEYS: [&str; 23] = [
    "collector",
    "listen",
    "frequency",
    "window",
    "host",
    "log_level",
    "labels",
    "headers",
    "tenant",
    "bearer_token",
    "bearer_token_file",
    "basic_auth",
    "queue_bytes",
    "table_bytes",
    "requests",
    "otlp",
    "trace_ratio",
    "spans_per_second",
    "slow",
    "syscalls",
    "debuginfod_urls",
    "debuginfod_cache",
    "debuginfod_cache_bytes",
];

/// What `run` needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Address of the collector or Pyroscope server.
    pub collector: String,
    /// Address of the agent's own HTTP server.
    pub listen: SocketAddr,
    /// Samples per second and CPU. The default is a prime, so that it does not beat with timers.
    pub frequency: u32,
    /// Length of one profile.
    pub window: Duration,
    /// Name of this host; `None` takes the kernel's.
    pub host: Option<String>,
    /// A level, or filter directives.
    pub log_level: String,
    /// Labels for every series.
    pub labels: Vec<(String, String)>,
    /// Further headers of every push.
    pub headers: Vec<(String, Secret)>,
    /// Tenant at the server.
    pub tenant: Option<String>,
    /// How to prove who we are.
    pub credentials: Option<Credentials>,
    /// Most bytes that may wait to be pushed.
    pub queue_bytes: usize,
    /// Most bytes of unwind tables in the kernel.
    pub table_bytes: usize,
    /// Whether HTTP requests are measured.
    pub requests: bool,
    /// Where their spans and metrics go.
    pub otlp: OtlpConfig,
    /// What of system calls is measured.
    pub syscalls: SyscallMode,
    /// Who is asked for the names of stripped programs.
    pub debuginfod: DebuginfodConfig,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            collector: "http://127.0.0.1:4040".to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 4041)),
            frequency: 97,
            window: Duration::from_secs(10),
            host: None,
            log_level: "info".to_owned(),
            labels: Vec::new(),
            headers: Vec::new(),
            tenant: None,
            credentials: None,
            queue_bytes: PushSettings::default().queue_bytes,
            table_bytes: DEFAULT_TABLE_BYTES,
            requests: false,
            otlp: OtlpConfig::default(),
            syscalls: SyscallMode::Off,
            debuginfod: DebuginfodConfig::default(),
        }
    }
}

impl Settings {
    /// The part that pushing needs.
    #[must_use]
    pub fn push(&self) -> PushSettings {
        PushSettings {
            url: self.collector.clone(),
            credentials: self.credentials.clone(),
            tenant: self.tenant.clone(),
            headers: self.headers.clone(),
            queue_bytes: self.queue_bytes,
            ..PushSettings::default()
        }
    }
}

/// Settings and where each comes from. Its text is what `check-config` prints.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The settings.
    pub settings: Settings,
    /// One for each key.
    pub origins: Vec<Origin>,
}

/// One setting as text, secrets as `***`, and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its name in the file.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// Who said so.
    pub source: Source,
}

impl fmt::Display for Effective {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Origin { key, value, source } in &self.origins {
            writeln!(out, "{key:<18} {value:<32} {source}")?;
        }
        Ok(())
    }
}

/// Puts all sources together.
///
/// # Errors
/// All that is wrong, at once.
pub fn run_settings(
    args: &RunArgs,
    environment: Environment<'_>,
) -> Result<Effective, ConfigError> {
    let mut problems = Vec::new();
    let path = args.config.clone().or_else(|| environment("SONDE_AGENT_CONFIG").map(PathBuf::from));
    let file = match path.as_deref().map(file::read).transpose() {
        Ok(values) => values.unwrap_or_default(),
        Err(problem) => {
            problems.push(problem);
            FileValues::default()
        }
    };
    problems.extend(file.unknown_keys(&KEYS));
    let layers = Layers { flags: flags(args), environment, file };
    Resolver { layers, problems, origins: Vec::new() }.settings()
}

fn flags(args: &RunArgs) -> Vec<(&'static str, &'static str, Option<String>)> {
    vec![
        ("collector", "--collector", args.collector.clone()),
        ("listen", "--listen", args.listen.clone()),
        ("frequency", "--frequency", args.frequency.clone()),
        ("window", "--window", args.window.clone()),
        ("host", "--host", args.host.clone()),
        ("log_level", "--log-level", args.log_level.clone()),
        ("table_bytes", "--table-bytes", args.table_bytes.clone()),
        ("requests", "--requests", args.requests.clone()),
        ("otlp", "--otlp", args.otlp.clone()),
        ("trace_ratio", "--trace-ratio", args.trace_ratio.clone()),
        ("syscalls", "--syscalls", args.syscalls.clone()),
        ("debuginfod_urls", "--debuginfod-urls", args.debuginfod_urls.clone()),
    ]
}

impl Resolver<'_> {
    fn settings(mut self) -> Result<Effective, ConfigError> {
        let default = Settings::default();
        let settings = Settings {
            collector: self.value("collector", &URL, default.collector),
            listen: self.value("listen", &ADDRESS, default.listen),
            frequency: self.value("frequency", &FREQUENCY, default.frequency),
            window: self.value("window", &WINDOW, default.window),
            host: self.optional("host", &LINE),
            log_level: self.value("log_level", &LOG_LEVEL, default.log_level),
            labels: self.labels(),
            headers: self.headers(),
            tenant: self.optional("tenant", &LINE),
            credentials: self.credentials(),
            queue_bytes: self.value("queue_bytes", &BYTES, default.queue_bytes),
            table_bytes: self.value("table_bytes", &TABLE_BYTES, default.table_bytes),
            requests: self.value("requests", &SWITCH, default.requests),
            otlp: self.otlp(),
            syscalls: self.value("syscalls", &SYSCALLS, default.syscalls),
            debuginfod: self.debuginfod(),
        };
        if self.problems.is_empty() {
            return Ok(Effective { settings, origins: self.origins });
        }
        Err(ConfigError { problems: self.problems })
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
