//! How full the machine and its containers are: CPU, memory, pressure, TCP, as the kernel counts them
//! in `/proc` and in its cgroups. Names are OpenTelemetry's where it has any:
//! <https://opentelemetry.io/docs/specs/semconv/system/system-metrics/>. Round-trip times are not here:
//! the kernel keeps them with each socket only.
#![forbid(unsafe_code)]

mod collector;
mod containers;
mod host;
mod text;

use std::path::PathBuf;

pub use collector::SaturationCollector;

/// One metric and all its values at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Its name, with underscores for dots and without its unit.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
    /// What it is counted in.
    pub unit: ReadingUnit,
    /// Whether it only grows.
    pub is_counter: bool,
    /// Its values.
    pub points: Vec<Point>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadingUnit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Things.
    Count,
}

/// A value and what tells it apart from others.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Labels.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: f64,
}

impl Point {
    fn new<const N: usize>(labels: [(&'static str, &str); N], value: f64) -> Self {
        Self { labels: labels.map(|(name, text)| (name, text.to_owned())).into(), value }
    }
}

/// Where the kernel tells of itself.
#[derive(Clone, Debug)]
pub struct Places {
    /// `/proc`.
    pub proc_root: PathBuf,
    /// `/sys/fs/cgroup`.
    pub cgroup_root: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self { proc_root: "/proc".into(), cgroup_root: "/sys/fs/cgroup".into() }
    }
}

impl Places {
    /// Reads everything. What the kernel does not tell is left out: no value is better than a wrong one.
    #[must_use]
    pub fn read(&self) -> Vec<Reading> {
        let mut readings = host::read(&self.proc_root);
        readings.extend(containers::read(&self.cgroup_root));
        readings.retain(|reading| !reading.points.is_empty());
        readings
    }
}
