//! The command line and the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use super::{Listener, quantity};

/// Keeps the profiles, traces and metrics of Sonde's agents, and draws them.
#[derive(Debug, Parser)]
#[command(name = "sonde-collector", version)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the collector can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take profiles, traces and metrics in, keep them, and serve the page and the API
    Serve(ServeArgs),
    /// Check flags, environment and file, print what would be used, and start nothing
    CheckConfig(ServeArgs),
}

/// Settings as typed; what is missing comes from the file, then from the defaults.
#[derive(Clone, Debug, Default, Parser)]
pub struct ServeArgs {
    /// YAML file with settings
    #[arg(long, env = "SONDE_COLLECTOR_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:4040]
    #[arg(long, env = "SONDE_COLLECTOR_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Address for OTLP over gRPC, or off [default: port 4317 of the same host]
    #[arg(long, env = "SONDE_COLLECTOR_OTLP_GRPC", value_name = "ADDRESS:PORT")]
    pub otlp_grpc: Option<Listener>,
    /// Address for OTLP over HTTP, or off [default: port 4318 of the same host]
    #[arg(long, env = "SONDE_COLLECTOR_OTLP_HTTP", value_name = "ADDRESS:PORT")]
    pub otlp_http: Option<Listener>,
    /// Pass traces and metrics on, as received, to this OTLP/HTTP endpoint, as http://host:4318
    #[arg(long, env = "SONDE_COLLECTOR_FORWARD", value_name = "URL")]
    pub forward: Option<String>,
    /// Data directory [default: $XDG_DATA_HOME/sonde, or /var/lib/sonde as root]
    #[arg(long, env = "SONDE_COLLECTOR_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Delete data older than this, as 7d or 36h [default: 7d]
    #[arg(long, env = "SONDE_COLLECTOR_RETENTION_AGE", value_name = "AGE", value_parser = quantity::duration)]
    pub retention_age: Option<Duration>,
    /// Delete the oldest data beyond this size, as 10GiB [default: 10GiB]
    #[arg(long, env = "SONDE_COLLECTOR_RETENTION_SIZE", value_name = "SIZE", value_parser = quantity::bytes)]
    pub retention_size: Option<u64>,
    /// What to log, as `info` or `sonde_collector=debug` [default: info]
    #[arg(long, env = "SONDE_COLLECTOR_LOG", value_name = "FILTER")]
    pub log: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::config::Settings;

    #[test]
    fn the_help_names_the_real_defaults() {
        let help = ServeArgs::command().render_long_help().to_string();
        let settings = Settings::default();
        let days = settings.store.retention_age.as_secs() / 86_400;
        let gib = settings.store.retention_bytes >> 30;
        for default in
            [settings.listen.to_string(), settings.log, format!("{days}d"), format!("{gib}GiB")]
        {
            assert!(help.contains(&format!("[default: {default}]")), "{default} in {help}");
        }
    }
}
