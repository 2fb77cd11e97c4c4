//! Questions to the Parquet files, as DataFusion plans. Files that cannot have an answer are left
//! out by their times, row groups and pages by their statistics.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Int64Type, UInt64Type};
use datafusion::dataframe::DataFrame;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::prelude::{Expr, ParquetReadOptions, SessionConfig, SessionContext, col, lit};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;

use super::error::StoreError;
use super::files::DataFile;
use super::parquet_file::samples_schema;
use super::settings::StoreSettings;
use super::signal::Row;

/// The query engine of one store.
pub(super) struct Engine {
    context: SessionContext,
}

/// Conditions on rows; each list is `None` where any value passes.
pub(super) struct RowFilter {
    pub(super) services: Option<Vec<String>>,
    pub(super) types: Option<Vec<String>>,
    pub(super) series: Option<Vec<u64>>,
    pub(super) from_unix_ms: i64,
    pub(super) until_unix_ms: i64,
}

/// What rows are added up by, beside the step of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Stack,
    Series,
}

impl Engine {
    pub(super) fn new(settings: &StoreSettings) -> Result<Self, StoreError> {
        let mut config =
            SessionConfig::new().with_target_partitions(settings.query_partitions.max(1));
        let options = config.options_mut();
        options.execution.parquet.pushdown_filters = true;
        options.execution.parquet.reorder_filters = true;
        options.execution.parquet.schema_force_view_types = false;
        let pool = Arc::new(GreedyMemoryPool::new(settings.query_memory_bytes));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc()?;
        Ok(Self { context: SessionContext::new_with_config_rt(config, runtime) })
    }

    /// Sum by key.
    pub(super) async fn sums(
        &self,
        files: &[Arc<DataFile>],
        filter: &RowFilter,
        key: Key,
    ) -> Result<Vec<(u64, i64)>, StoreError> {
        let batches = self.summed(files, filter, &[key_column(key).alias("key")]).await?;
        let mut sums = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        for batch in &batches {
            let (keys, values) = (u64s(batch, "key")?, i64s(batch, "sum")?);
            sums.extend(keys.iter().copied().zip(values.iter().copied()));
        }
        Ok(sums)
    }

    /// Sum by stack, service by service.
    pub(super) async fn sums_by_service(
        &self,
        files: &[Arc<DataFile>],
        filter: &RowFilter,
        mut each: impl FnMut(&str, u64, i64),
    ) -> Result<(), StoreError> {
        let keys = [col("service"), col("stack").alias("key")];
        let batches = self.summed(files, filter, &keys).await?;
        for batch in &batches {
            let service =
                batch.column_by_name("service").and_then(|column| column.as_string_opt::<i32>());
            let services = service.ok_or_else(|| unexpected("service"))?;
            let (stacks, sums) = (u64s(batch, "key")?, i64s(batch, "sum")?);
            for ((service, stack), sum) in services.iter().zip(stacks).zip(sums) {
                each(service.unwrap_or_default(), *stack, *sum);
            }
        }
        Ok(())
    }

    /// Sum by step of time and key.
    pub(super) async fn steps(
        &self,
        files: &[Arc<DataFile>],
        filter: &RowFilter,
        step_ms: i64,
        key: Key,
    ) -> Result<Vec<(i64, u64, i64)>, StoreError> {
        let step = ((col("time") - lit(filter.from_unix_ms)) / lit(step_ms)).alias("step");
        let keys = [step, key_column(key).alias("key")];
        let batches = self.summed(files, filter, &keys).await?;
        let mut sums = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        for batch in &batches {
            let (steps, keys, values) =
                (i64s(batch, "step")?, u64s(batch, "key")?, i64s(batch, "sum")?);
            let keyed = steps.iter().copied().zip(keys.iter().copied());
            sums.extend(
                keyed.zip(values.iter().copied()).map(|((step, key), sum)| (step, key, sum)),
            );
        }
        Ok(sums)
    }

    /// Sums of the rows that pass. What cannot be read is left out: a file is checked before it is
    /// read, and again if reading fails.
    async fn summed(
        &self,
        files: &[Arc<DataFile>],
        filter: &RowFilter,
        keys: &[Expr],
    ) -> Result<Vec<RecordBatch>, StoreError> {
        let in_range =
            |file: &&Arc<DataFile>| file.entry.overlaps(filter.from_unix_ms, filter.until_unix_ms);
        let files: Vec<Arc<DataFile>> = files.iter().filter(in_range).cloned().collect();
        let whole = whole(files).await?;
        let error = match self.sum_files(&whole, filter, keys).await {
            Ok(batches) => return Ok(batches),
            Err(error) => error,
        };
        let before = whole.len();
        whole.iter().for_each(|file| file.doubt());
        let rest = self::whole(whole).await?;
        if rest.len() == before {
            return Err(error);
        }
        self.sum_files(&rest, filter, keys).await
    }

    async fn sum_files(
        &self,
        files: &[Arc<DataFile>],
        filter: &RowFilter,
        keys: &[Expr],
    ) -> Result<Vec<RecordBatch>, StoreError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let inside = files.iter().all(|file| {
            file.entry.from_unix_ms >= filter.from_unix_ms
                && file.entry.until_unix_ms <= filter.until_unix_ms
        });
        let rows = self.read(files).await?;
        let rows = match condition(filter, inside) {
            Some(condition) => rows.filter(condition)?,
            None => rows,
        };
        Ok(rows.aggregate(keys.to_vec(), vec![sum(col("value")).alias("sum")])?.collect().await?)
    }

    async fn read(&self, files: &[Arc<DataFile>]) -> Result<DataFrame, StoreError> {
        let paths: Vec<String> =
            files.iter().map(|file| file.path.to_string_lossy().into_owned()).collect();
        let schema = samples_schema();
        let options = ParquetReadOptions::default().schema(&schema).skip_metadata(true);
        Ok(self.context.read_parquet(paths, options).await?)
    }
}

impl Engine {
    /// Passes the rows that meet a condition to `visit`, a batch at a time; columns of bytes in
    /// `omit` are not read, and come empty. A file that cannot be
    /// read fails this question, and is left out of the next.
    pub(super) async fn rows<R: Row>(
        &self,
        files: &[Arc<DataFile>],
        condition: Option<Expr>,
        omit: &[&str],
        mut visit: impl FnMut(R),
    ) -> Result<(), StoreError> {
        let files = whole(files.to_vec()).await?;
        if files.is_empty() {
            return Ok(());
        }
        let rows = self.read_rows::<R>(&files, condition).await?;
        let rows = if omit.is_empty() { rows } else { rows.select(columns::<R>(omit))? };
        let mut batches = rows.execute_stream().await?;
        while let Some(batch) = batches.next().await {
            let batch = batch.inspect_err(|_| files.iter().for_each(|file| file.doubt()))?;
            R::from_batch(&batch)?.into_iter().for_each(&mut visit);
        }
        Ok(())
    }

    /// Sums by keys of the rows that meet a condition. What cannot be read is as in
    /// [`Engine::rows`].
    pub(super) async fn grouped<R: Row>(
        &self,
        files: &[Arc<DataFile>],
        condition: Expr,
        keys: Vec<Expr>,
        sums: Vec<Expr>,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        let files = whole(files.to_vec()).await?;
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.read_rows::<R>(&files, Some(condition)).await?;
        let batches = rows.aggregate(keys, sums)?.collect().await;
        Ok(batches.inspect_err(|_| files.iter().for_each(|file| file.doubt()))?)
    }

    async fn read_rows<R: Row>(
        &self,
        files: &[Arc<DataFile>],
        condition: Option<Expr>,
    ) -> Result<DataFrame, StoreError> {
        let paths: Vec<String> =
            files.iter().map(|file| file.path.to_string_lossy().into_owned()).collect();
        let schema = R::schema();
        let options = ParquetReadOptions::default().schema(&schema).skip_metadata(true);
        let rows = self.context.read_parquet(paths, options).await?;
        Ok(match condition {
            Some(condition) => rows.filter(condition)?,
            None => rows,
        })
    }
}

/// The columns of a row, empty bytes in the place of those in `omit`.
fn columns<R: Row>(omit: &[&str]) -> Vec<Expr> {
    let schema = R::schema();
    let column = |name: &str| {
        let empty = || lit(ScalarValue::Binary(Some(Vec::new()))).alias(name);
        if omit.contains(&name) { empty() } else { col(name) }
    };
    schema.fields().iter().map(|field| column(field.name())).collect()
}

/// Those of the files that can be read. Checking one may read it, so it is done off the threads
/// that serve.
async fn whole(files: Vec<Arc<DataFile>>) -> Result<Vec<Arc<DataFile>>, StoreError> {
    let check = move || files.into_iter().filter(|file| file.check().is_ok()).collect();
    tokio::task::spawn_blocking(check).await.map_err(|_| StoreError::Closed)
}

fn key_column(key: Key) -> Expr {
    match key {
        Key::Stack => col("stack"),
        Key::Series => col("series"),
    }
}

fn condition(filter: &RowFilter, all_times: bool) -> Option<Expr> {
    let names = |column: &str, names: &Option<Vec<String>>| {
        let names = names.as_ref()?;
        Some(col(column).in_list(names.iter().map(|name| lit(name.as_str())).collect(), false))
    };
    let series = filter.series.as_ref().map(|series| {
        col("series").in_list(series.iter().map(|series| lit(*series)).collect(), false)
    });
    let time = (!all_times).then(|| {
        col("time").gt_eq(lit(filter.from_unix_ms)).and(col("time").lt(lit(filter.until_unix_ms)))
    });
    [names("service", &filter.services), names("type", &filter.types), series, time]
        .into_iter()
        .flatten()
        .reduce(Expr::and)
}

fn u64s<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a [u64], StoreError> {
    let column =
        batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<UInt64Type>());
    Ok(column.filter(|column| column.null_count() == 0).ok_or_else(|| unexpected(name))?.values())
}

fn i64s<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a [i64], StoreError> {
    let column =
        batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
    Ok(column.filter(|column| column.null_count() == 0).ok_or_else(|| unexpected(name))?.values())
}

fn unexpected(column: &str) -> StoreError {
    StoreError::Table {
        table: "answer",
        what: format!("column {column} is not what was asked for"),
    }
}
