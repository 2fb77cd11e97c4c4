//! Complete, checked settings; every default is here or in the part that it belongs to.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use super::args::ServeArgs;
use super::file::{File, FileError};
use super::listener::Listener;
use crate::api::ApiSettings;
use crate::ingest::Limits;
use crate::store::StoreSettings;

/// OTLP's port for gRPC.
const OTLP_GRPC_PORT: u16 = 4317;
/// OTLP's port for HTTP.
const OTLP_HTTP_PORT: u16 = 4318;

/// All that the collector needs to know to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address to listen on; loopback unless chosen otherwise.
    pub listen: SocketAddr,
    /// Address for OTLP over gRPC; `None` is port 4317 of the same host.
    pub otlp_grpc: Option<Listener>,
    /// Address for OTLP over HTTP; `None` is port 4318 of the same host.
    pub otlp_http: Option<Listener>,
    /// Endpoint that OTLP is passed on to.
    pub forward: Option<String>,
    /// Filter of the log.
    pub log: String,
    /// The store's part.
    pub store: StoreSettings,
    /// The ingest's part.
    pub limits: Limits,
    /// The API's part.
    pub api: ApiSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4040)),
            otlp_grpc: None,
            otlp_http: None,
            forward: None,
            log: "info".to_owned(),
            store: StoreSettings { data_dir: default_data_dir(), ..StoreSettings::default() },
            limits: Limits::default(),
            api: ApiSettings::default(),
        }
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is wrong.
    #[error(transparent)]
    File(#[from] FileError),
    /// A value is out of its bounds.
    #[error("{key} is {value}: expected {expected}")]
    Value {
        /// Its name in the file.
        key: &'static str,
        /// As given.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
}

impl Settings {
    /// Puts flags and environment over the file over the defaults, and checks the whole.
    ///
    /// # Errors
    /// The file or a value is wrong.
    pub fn resolve(args: &ServeArgs) -> Result<Self, SettingsError> {
        let file = args.config.as_deref().map(File::read).transpose()?.unwrap_or_default();
        let settings = Self::default().with_file(file)?.with_args(args);
        settings.check()?;
        Ok(settings)
    }

    /// Where OTLP over gRPC is taken in beside `listen`.
    #[must_use]
    pub fn otlp_grpc(&self) -> Listener {
        self.otlp_grpc.unwrap_or_else(|| self.beside(OTLP_GRPC_PORT))
    }

    /// Where OTLP over HTTP is taken in beside `listen`.
    #[must_use]
    pub fn otlp_http(&self) -> Listener {
        self.otlp_http.unwrap_or_else(|| self.beside(OTLP_HTTP_PORT))
    }

    fn beside(&self, port: u16) -> Listener {
        Listener::At(SocketAddr::new(self.listen.ip(), port))
    }

    fn with_file(mut self, file: File) -> Result<Self, SettingsError> {
        replace(&mut self.listen, file.listen);
        self.otlp_grpc = file.otlp.grpc.or(self.otlp_grpc);
        self.otlp_http = file.otlp.http.or(self.otlp_http);
        self.forward = file.forward.or(self.forward);
        replace(&mut self.log, file.log);
        replace(&mut self.store.data_dir, file.data);
        replace(&mut self.store.retention_age, file.retention.age);
        replace(&mut self.store.retention_bytes, file.retention.size);
        replace(&mut self.store.minute_after, file.decay.minute_after);
        replace(&mut self.store.hour_after, file.decay.hour_after);
        replace(&mut self.store.flush_interval, file.flush.interval);
        replace(&mut self.store.flush_bytes, file.flush.size);
        replace(&mut self.store.query_memory_bytes, size("query.memory", file.query.memory)?);
        replace(&mut self.api.cache_bytes, size("query.cache", file.query.cache)?);
        replace(&mut self.api.concurrency, file.query.concurrency);
        replace(&mut self.api.timeout, file.query.timeout);
        Ok(self)
    }

    fn with_args(mut self, args: &ServeArgs) -> Self {
        replace(&mut self.listen, args.listen);
        self.otlp_grpc = args.otlp_grpc.or(self.otlp_grpc);
        self.otlp_http = args.otlp_http.or(self.otlp_http);
        self.forward = args.forward.clone().or(self.forward);
        // Empty switches off what the file has.
        self.forward = self.forward.filter(|url| !url.is_empty());
        replace(&mut self.log, args.log.clone());
        replace(&mut self.store.data_dir, args.data.clone());
        replace(&mut self.store.retention_age, args.retention_age);
        replace(&mut self.store.retention_bytes, args.retention_size);
        // What retention would delete at once is refused with a reason instead.
        let age_ms = self.store.retention_age.as_millis();
        self.limits.age_ms = i64::try_from(age_ms).unwrap_or(i64::MAX);
        self
    }

    fn check(&self) -> Result<(), SettingsError> {
        let wrong =
            |key, value: String, expected| Err(SettingsError::Value { key, value, expected });
        if !(1..=256).contains(&self.api.concurrency) {
            let value = self.api.concurrency.to_string();
            return wrong("query.concurrency", value, "a number from 1 to 256");
        }
        if let Some(url) = &self.forward
            && crate::forward::endpoint(url).is_err()
        {
            return wrong("forward", url.clone(), "an address like http://host:4318");
        }
        if self.store.flush_bytes < 1 << 20 {
            let value = format!("{} bytes", self.store.flush_bytes);
            return wrong("flush.size", value, "at least 1MiB");
        }
        if self.store.query_memory_bytes < 16 << 20 {
            let value = format!("{} bytes", self.store.query_memory_bytes);
            return wrong("query.memory", value, "at least 16MiB");
        }
        if self.store.retention_age < self.store.flush_interval {
            let value = format!("{:?}", self.store.retention_age);
            return wrong("retention.age", value, "not less than flush.interval");
        }
        if self.store.minute_after < Duration::from_secs(3600) {
            let value = format!("{:?}", self.store.minute_after);
            return wrong("decay.minute_after", value, "at least 1h");
        }
        if self.store.hour_after < self.store.minute_after {
            let value = format!("{:?}", self.store.hour_after);
            return wrong("decay.hour_after", value, "not less than decay.minute_after");
        }
        if self.log.parse::<tracing_subscriber::EnvFilter>().is_err() {
            return wrong(
                "log",
                self.log.clone(),
                "a filter like `info` or `sonde_collector=debug`",
            );
        }
        Ok(())
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listen, log, store, api, .. } = self;
        writeln!(f, "listen: {listen}")?;
        writeln!(f, "otlp:\n  grpc: {}\n  http: {}", self.otlp_grpc(), self.otlp_http())?;
        if let Some(url) = &self.forward {
            writeln!(f, "forward: {url}")?;
        }
        writeln!(f, "data: {}", store.data_dir.display())?;
        writeln!(f, "log: {log}")?;
        let (age, size) = (store.retention_age.as_secs(), store.retention_bytes);
        writeln!(f, "retention:\n  age: {age}s\n  size: {size}B")?;
        let (minute, hour) = (store.minute_after.as_secs(), store.hour_after.as_secs());
        writeln!(f, "decay:\n  minute_after: {minute}s\n  hour_after: {hour}s")?;
        let (interval, size) = (store.flush_interval.as_secs(), store.flush_bytes);
        writeln!(f, "flush:\n  interval: {interval}s\n  size: {size}B")?;
        writeln!(
            f,
            "query:\n  memory: {}B\n  cache: {}B",
            store.query_memory_bytes, api.cache_bytes
        )?;
        write!(f, "  concurrency: {}\n  timeout: {}ms", api.concurrency, api.timeout.as_millis())
    }
}

fn replace<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn size(key: &'static str, bytes: Option<u64>) -> Result<Option<usize>, SettingsError> {
    let expected = "a size that fits into this machine's memory";
    let wrong =
        |bytes: u64| SettingsError::Value { key, value: format!("{bytes} bytes"), expected };
    bytes.map(|bytes| usize::try_from(bytes).map_err(|_| wrong(bytes))).transpose()
}

fn default_data_dir() -> PathBuf {
    let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let from = |name: &str| std::env::var_os(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let data_home = from("XDG_DATA_HOME").filter(|dir| dir.is_absolute());
    let home = || from("HOME").map(|home| home.join(".local/share"));
    match data_home.or_else(home) {
        _ if root => PathBuf::from("/var/lib/sonde"),
        Some(data_home) => data_home.join("sonde"),
        None => PathBuf::from("sonde-data"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("write it");
        file
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file = file("listen: 127.0.0.1:1111\ndata: from-file\n");
        let args = ServeArgs {
            config: Some(file.path().to_owned()),
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 2222))),
            ..ServeArgs::default()
        };
        let settings = Settings::resolve(&args).expect("good settings");
        assert_eq!(settings.listen.port(), 2222);
        assert_eq!(settings.store.data_dir, PathBuf::from("from-file"));
        assert_eq!(settings.log, Settings::default().log);
    }

    #[test]
    fn values_out_of_bounds_are_refused_by_key() {
        let file = file("query:\n  concurrency: 0\n");
        let args = ServeArgs { config: Some(file.path().to_owned()), ..ServeArgs::default() };
        let error = Settings::resolve(&args).expect_err("no question could run").to_string();
        assert_eq!(error, "query.concurrency is 0: expected a number from 1 to 256");
        let file = self::file("decay:\n  minute_after: 5d\n");
        let args = ServeArgs { config: Some(file.path().to_owned()), ..ServeArgs::default() };
        let error = Settings::resolve(&args).expect_err("hours before minutes").to_string();
        assert_eq!(error, "decay.hour_after is 259200s: expected not less than decay.minute_after");
    }

    #[test]
    fn a_file_error_names_the_file() {
        let file = file("nonsense: 1\n");
        let args = ServeArgs { config: Some(file.path().to_owned()), ..ServeArgs::default() };
        let error = Settings::resolve(&args).expect_err("an unknown key").to_string();
        assert!(error.contains(&file.path().display().to_string()), "{error}");
        assert!(error.contains("nonsense") && error.contains("line 1"), "{error}");
    }
}
