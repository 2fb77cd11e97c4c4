//! The command line. Values stay text here, so that they are checked together with the environment's
//! and the file's.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::record::RecordSettings;
use super::run::Settings;
use super::show;

/// Watches this host from below: where the CPU time of every process goes.
#[derive(Debug, Parser)]
#[command(name = "sonde-agent", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Profile this host without end and push the profiles to a collector.
    Run(RunArgs),
    /// Profile for a while, or for the life of a command, and write the result to files.
    Record(RecordArgs),
    /// Say for each binary that runs how well its stacks and names are seen, and what would help.
    Doctor(SpanArgs),
    /// Say what this kernel allows, and why not where it does not.
    Probe,
    /// Print the settings `run` would use, and where each comes from.
    CheckConfig(RunArgs),
}

/// What `run` and `check-config` take.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    #[arg(long, value_name = "FILE", help = "Settings in YAML [env: SONDE_AGENT_CONFIG]")]
    pub(super) config: Option<PathBuf>,
    #[arg(long, value_name = "URL", help = helped("Collector or Pyroscope server", "COLLECTOR", &Settings::default().collector))]
    pub(super) collector: Option<String>,
    #[arg(long, value_name = "ADDR", help = helped("Address for metrics, health and the agent's own profile", "LISTEN", &Settings::default().listen))]
    pub(super) listen: Option<String>,
    #[arg(long, value_name = "HZ", help = helped("Samples per second and CPU; a prime does not beat with timers", "FREQUENCY", &Settings::default().frequency))]
    pub(super) frequency: Option<String>,
    #[arg(long, value_name = "TIME", help = helped("Length of one profile", "WINDOW", &show::duration(&Settings::default().window)))]
    pub(super) window: Option<String>,
    #[arg(long, value_name = "NAME", help = helped("Name of this host", "HOST", &"the kernel's"))]
    pub(super) host: Option<String>,
    #[arg(long, value_name = "LEVEL", help = helped("error, warn, info, debug, trace", "LOG", &Settings::default().log_level))]
    pub(super) log_level: Option<String>,
    #[arg(long, value_name = "SIZE", help = helped("Memory for unwind tables, taken whole", "TABLE_BYTES", &show::bytes(&Settings::default().table_bytes)))]
    pub(super) table_bytes: Option<String>,
    #[arg(long, value_name = "on|off", help = helped("Measure HTTP requests from the sockets of all processes", "REQUESTS", &"off"))]
    pub(super) requests: Option<String>,
    #[arg(long, value_name = "URL|off", help = helped("Where spans and metrics of requests go by OTLP; grpc://HOST:PORT for gRPC", "OTLP", &"the collector, or OTEL_EXPORTER_OTLP_ENDPOINT"))]
    pub(super) otlp: Option<String>,
    #[arg(long, value_name = "SHARE", help = helped("Share of the traces that begin here which are kept, beside errors and slow requests", "TRACE_RATIO", &"1"))]
    pub(super) trace_ratio: Option<String>,
    #[arg(long, value_name = "off|waits|sampled|always", help = helped("Time system calls: sleeps in them, and all calls a twentieth of the time or always", "SYSCALLS", &Settings::default().syscalls.word()))]
    pub(super) syscalls: Option<String>,
    #[arg(long, value_name = "URLS", help = helped("Ask these servers for names of stripped programs; `env`: those in DEBUGINFOD_URLS", "DEBUGINFOD_URLS", &"nobody is asked"))]
    pub(super) debuginfod_urls: Option<String>,
}

/// What `record` takes.
#[derive(Clone, Debug, Default, Args)]
pub struct RecordArgs {
    #[command(flatten)]
    pub(super) span: SpanArgs,
    #[arg(
        short,
        long = "output",
        value_name = "FILE",
        required = true,
        help = "FILE.svg, FILE.pb.gz or FILE.folded; may be repeated"
    )]
    pub(super) output: Vec<PathBuf>,
}

/// What to look at for a while, and for how long.
#[derive(Clone, Debug, Default, Args)]
pub struct SpanArgs {
    #[arg(long, value_name = "TIME", help = helped("How long; with a command at most so long", "DURATION", &show::duration(&RecordSettings::DEFAULT_DURATION)))]
    pub(super) duration: Option<String>,
    #[arg(long, value_name = "HZ", help = helped("Samples per second and CPU", "FREQUENCY", &Settings::default().frequency))]
    pub(super) frequency: Option<String>,
    #[arg(long, value_name = "SIZE", help = helped("Memory for unwind tables, taken whole", "TABLE_BYTES", &show::bytes(&Settings::default().table_bytes)))]
    pub(super) table_bytes: Option<String>,
    #[arg(long, value_name = "URLS", help = helped("Ask these servers for names of stripped programs, and wait a minute at most; `env`: those in DEBUGINFOD_URLS", "DEBUGINFOD_URLS", &"nobody is asked"))]
    pub(super) debuginfod_urls: Option<String>,
    #[arg(long, value_name = "PID", help = "Only this process; may be repeated")]
    pub(super) pid: Vec<String>,
    #[arg(last = true, value_name = "COMMAND", help = "Run this and profile it")]
    pub(super) command: Vec<String>,
}

fn helped(what: &str, variable: &str, default: &dyn std::fmt::Display) -> String {
    format!("{what} [default: {default}] [env: SONDE_AGENT_{variable}]")
}
