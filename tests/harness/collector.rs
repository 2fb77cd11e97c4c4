//! The collector under test, and the questions tests ask it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::http::{self, escaped};
use crate::process::Process;
use crate::{binary, free_port, wait_until};

/// A running collector.
pub struct Collector {
    /// Its process, for signals.
    pub process: Process,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Collector {
    /// Starts one on `folder/data` and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or isn't ready in time; with what it wrote.
    pub fn start(folder: &Path) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(binary("SONDE_COLLECTOR_BIN")?);
        // The one port takes OTLP too; its own two would be the same for all tests.
        command.args(["serve", "--otlp-grpc", "off", "--otlp-http", "off"]);
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--data"]);
        command.arg(folder.join("data"));
        let log = folder.join(format!("collector-{port}.log"));
        let mut process = Process::start(command, &log)?;
        let ready = || http::get(port, "/readyz").is_ok_and(|answer| answer.status == 200);
        let waited =
            wait_until("the collector", Duration::from_secs(20), || ready() || !process.runs());
        waited.with_context(|| format!("the collector wrote:\n{}", process.output()))?;
        anyhow::ensure!(process.runs(), "the collector ended; it wrote:\n{}", process.output());
        Ok(Self { process, port })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The functions of the services that `selector` picks, over the last hour.
    ///
    /// # Errors
    /// When the collector refuses.
    pub fn top(&self, selector: &str) -> Result<Top> {
        let path = format!(
            "/api/v1/profile/top?from=now-1h&until=now&sort=self&limit=1000&selector={}",
            escaped(selector)
        );
        Top::read(&http::get(self.port, &path)?.json()?)
    }

    /// Every kind of unit of CPU that was stored for this service.
    ///
    /// # Errors
    /// As [`Collector::top`].
    pub fn service(&self, name: &str) -> Result<Top> {
        self.top(&format!("{{service_name=\"{name}\"}}"))
    }
}

/// The top table.
#[derive(Debug)]
pub struct Top {
    /// The selection's whole value, in nanoseconds of CPU.
    pub total_ns: i64,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    binary: String,
    own: f64,
    total: f64,
}

impl Top {
    fn read(answer: &Value) -> Result<Self> {
        let number = |value: &Value, key: &str| value[key].as_f64().unwrap_or(f64::NAN);
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or("?").to_owned();
        let rows = answer["rows"].as_array().context("no rows in the answer")?;
        let row = |row: &Value| Row {
            name: text(row, "name"),
            binary: text(row, "binary"),
            own: number(row, "self"),
            total: number(row, "total"),
        };
        let total_ns = answer["total"].as_i64().unwrap_or(0);
        Ok(Self { total_ns, rows: rows.iter().map(row).collect() })
    }

    /// The selection's whole value, in seconds of CPU.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.total() / 1e9
    }

    fn total(&self) -> f64 {
        self.total_ns as f64
    }

    /// The share, in percent, of samples that have the function anywhere in their stack.
    #[must_use]
    pub fn share(&self, function: &str) -> f64 {
        100.0 * self.rows_of(function).map(|row| row.total).sum::<f64>() / self.total()
    }

    /// The share, in percent, of samples that end in the function.
    #[must_use]
    pub fn own_share(&self, function: &str) -> f64 {
        100.0 * self.rows_of(function).map(|row| row.own).sum::<f64>() / self.total()
    }

    /// The share, in percent, of samples that end in a binary whose name begins so.
    #[must_use]
    pub fn binary_share(&self, prefix: &str) -> f64 {
        let rows = self.rows.iter().filter(|row| row.binary.starts_with(prefix));
        100.0 * rows.map(|row| row.own).sum::<f64>() / self.total()
    }

    /// The names of all functions, for a failure's message.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.rows.iter().map(|row| row.name.as_str()).collect()
    }

    /// Rows of that function; a Rust or C++ name may be given by its last part.
    fn rows_of<'a>(&'a self, function: &'a str) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |row| {
            row.name == function
                || row.name.strip_suffix(function).is_some_and(|rest| rest.ends_with("::"))
        })
    }
}
