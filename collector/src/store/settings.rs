//! What an operator may choose about the store.

use std::path::PathBuf;
use std::time::Duration;

/// Where the store lives and what it may use.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Data directory; made if it is missing, locked while the store is open.
    pub data_dir: PathBuf,
    /// A segment is written to Parquet when it is this old.
    pub flush_interval: Duration,
    /// A segment is written to Parquet when its samples take this much memory.
    pub flush_bytes: u64,
    /// Samples older than this are added up by the minute.
    pub minute_after: Duration,
    /// Samples older than this are added up by the hour.
    pub hour_after: Duration,
    /// Samples older than this are deleted.
    pub retention_age: Duration,
    /// While all Parquet files together are larger than this, the oldest samples are added up more
    /// coarsely before their time, and where that is not enough deleted.
    pub retention_bytes: u64,
    /// How often files are compacted and retention is applied.
    pub maintenance_interval: Duration,
    /// Memory one query may take, in bytes. A query that needs more fails, the store goes on.
    pub query_memory_bytes: usize,
    /// Partitions of one query, and threads that work on it.
    pub query_partitions: usize,
    /// How many recent pushes are remembered, to recognise one that is sent again.
    pub remembered_pushes: usize,
    /// How long a push is remembered.
    pub remember_pushes_for: Duration,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("sonde-data"),
            flush_interval: Duration::from_secs(5 * 60),
            flush_bytes: 64 << 20,
            minute_after: Duration::from_secs(24 * 3600),
            hour_after: Duration::from_secs(3 * 24 * 3600),
            retention_age: Duration::from_secs(7 * 24 * 3600),
            retention_bytes: 10 << 30,
            maintenance_interval: Duration::from_secs(60),
            query_memory_bytes: 256 << 20,
            query_partitions: std::thread::available_parallelism().map_or(2, usize::from),
            remembered_pushes: 500_000,
            remember_pushes_for: Duration::from_secs(3600),
        }
    }
}
