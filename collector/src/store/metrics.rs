//! Counters and gauges of the store.

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of a store; clones count together.
#[derive(Clone, Debug, Default)]
pub struct StoreMetrics {
    pub(super) wal_syncs: Counter,
    pub(super) wal_bytes: Counter,
    pub(super) wal_failures: Counter,
    pub(super) wal_torn_bytes: Counter,
    pub(super) flush_failures: Counter,
    pub(super) compactions: Counter,
    pub(super) symbol_collections: Counter,
    pub(super) damaged_files: Counter,
    pub(super) lost_rows: Counter,
    pub(super) deleted_rows: Counter,
    pub(super) sealed_segments: Gauge<i64, AtomicI64>,
    pub(super) sample_files: Gauge<i64, AtomicI64>,
    pub(super) span_files: Gauge<i64, AtomicI64>,
    pub(super) metric_files: Gauge<i64, AtomicI64>,
    pub(super) parquet_bytes: Gauge<i64, AtomicI64>,
    pub(super) flushed_rows: Counter<u64, AtomicU64>,
}

impl StoreMetrics {
    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        counter("collector_wal_syncs", "fsyncs of the write-ahead log", &self.wal_syncs);
        counter("collector_wal_bytes", "Bytes appended to the write-ahead log", &self.wal_bytes);
        counter(
            "collector_wal_failures",
            "Appends that failed and were refused",
            &self.wal_failures,
        );
        counter(
            "collector_wal_torn_bytes",
            "Bytes behind the last whole record when logs were replayed; never acknowledged",
            &self.wal_torn_bytes,
        );
        counter(
            "collector_flush_failures",
            "Segments whose write failed and is tried again",
            &self.flush_failures,
        );
        counter("collector_compactions", "Merges of files", &self.compactions);
        counter(
            "collector_symbol_collections",
            "Times that symbols were collected which no sample names any more",
            &self.symbol_collections,
        );
        counter("collector_damaged_files", "Files set aside as damaged", &self.damaged_files);
        counter(
            "collector_lost_rows",
            "Rows lost with damaged files, and samples whose series was lost",
            &self.lost_rows,
        );
        counter("collector_deleted_rows", "Rows deleted by retention", &self.deleted_rows);
        counter("collector_flushed_rows", "Rows written to Parquet", &self.flushed_rows);
        let mut gauge = |name: &str, help: &str, gauge: &Gauge<i64, AtomicI64>| {
            registry.register(name, help, gauge.clone());
        };
        gauge(
            "collector_sealed_segments",
            "Segments that wait to be written",
            &self.sealed_segments,
        );
        gauge("collector_sample_files", "Parquet files of samples", &self.sample_files);
        gauge("collector_span_files", "Parquet files of spans", &self.span_files);
        gauge("collector_metric_files", "Parquet files of metric points", &self.metric_files);
        gauge("collector_parquet_bytes", "Bytes of all Parquet files", &self.parquet_bytes);
    }
}
