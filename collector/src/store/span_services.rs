//! How many spans which service has, by resource: counted in the files by DataFusion, in memory
//! here.

use std::sync::Arc;

use arrow::datatypes::Int64Type;
use datafusion::functions_aggregate::expr_fn::{count, max};
use datafusion::prelude::{col, lit};
use rustc_hash::FxHashMap;

use super::columns::Columns;
use super::error::StoreError;
use super::snapshot::Snapshot;
use super::symbols::Chunked;
use crate::trace::Span;

/// Spans of one service and resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanService {
    /// The service.
    pub service: Arc<str>,
    /// The resource, as [`Span::resource`].
    pub resource: Arc<[u8]>,
    /// How many spans.
    pub spans: u64,
    /// Start of the last one, in milliseconds since 1970.
    pub last_ms: i64,
}

/// Service and resource.
type Key = (Arc<str>, Arc<[u8]>);

impl Snapshot {
    /// Services that have spans in a range, by resource.
    ///
    /// # Errors
    /// As [`Snapshot::spans`].
    pub async fn span_services(
        &self,
        from_unix_ms: i64,
        until_unix_ms: i64,
    ) -> Result<Vec<SpanService>, StoreError> {
        let ns = |ms: i64| ms.saturating_mul(1_000_000);
        let range = ns(from_unix_ms)..ns(until_unix_ms);
        let mut found: FxHashMap<Key, (u64, i64)> = FxHashMap::default();
        let mut add = |service: Arc<str>, resource: Arc<[u8]>, spans: u64, last_ns: i64| {
            let counted = found.entry((service, resource)).or_insert((0, i64::MIN));
            *counted = (counted.0 + spans, counted.1.max(last_ns));
        };
        for span in self.spans.iter().flat_map(Chunked::iter) {
            if range.contains(&span.start_unix_ns) {
                let (service, resource) = (Arc::clone(&span.service), Arc::clone(&span.resource));
                add(service, resource, 1, span.start_unix_ns);
            }
        }
        let overlaps = |file: &&Arc<_>| {
            let file: &super::files::DataFile = file;
            file.entry.overlaps(from_unix_ms, until_unix_ms)
        };
        let files: Vec<_> = self.span_files.iter().filter(overlaps).cloned().collect();
        let condition = col("start").gt_eq(lit(range.start)).and(col("start").lt(lit(range.end)));
        let keys = vec![col("service"), col("resource")];
        let sums = vec![count(col("start")).alias("spans"), max(col("start")).alias("last")];
        for batch in self.engine.grouped::<Span>(&files, condition, keys, sums).await? {
            let columns = Columns { table: "spans", batch: &batch };
            let (services, resources) = (columns.texts("service")?, columns.blobs("resource")?);
            let (spans, last) =
                (columns.numbers::<Int64Type>("spans")?, columns.numbers::<Int64Type>("last")?);
            for row in 0..batch.num_rows() {
                let spans = u64::try_from(spans[row]).unwrap_or(0);
                add(services.value(row), resources.value(row), spans, last[row]);
            }
        }
        let service = |((service, resource), (spans, last_ns)): (Key, (u64, i64))| SpanService {
            service,
            resource,
            spans,
            last_ms: last_ns.div_euclid(1_000_000),
        };
        Ok(found.into_iter().map(service).collect())
    }
}
