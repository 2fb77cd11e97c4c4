//! Columns of spans and points: text and bytes that repeat are kept once per batch.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryDictionaryBuilder, DictionaryArray,
    FixedSizeBinaryArray, FixedSizeBinaryBuilder, Int64Array, RecordBatch, StringDictionaryBuilder,
    UInt8Array, UInt64Array,
};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Int32Type, Schema, SchemaRef};

use super::error::StoreError;

/// Type of text that repeats.
pub(super) fn texts() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// Type of bytes that repeat.
pub(super) fn blobs() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Binary))
}

/// A schema without nulls.
pub(super) fn schema(columns: impl IntoIterator<Item = (&'static str, DataType)>) -> SchemaRef {
    let field = |(name, kind)| Field::new(name, kind, false);
    Arc::new(Schema::new(columns.into_iter().map(field).collect::<Vec<_>>()))
}

pub(super) fn text_column<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    values.for_each(|value| builder.append_value(value));
    Arc::new(builder.finish())
}

pub(super) fn blob_column<'a>(values: impl Iterator<Item = &'a [u8]>) -> ArrayRef {
    let mut builder = BinaryDictionaryBuilder::<Int32Type>::new();
    values.for_each(|value| builder.append_value(value));
    Arc::new(builder.finish())
}

pub(super) fn bytes_column<'a>(values: impl Iterator<Item = &'a [u8]>) -> ArrayRef {
    Arc::new(BinaryArray::from_iter_values(values))
}

pub(super) fn u8_column(values: impl Iterator<Item = u8>) -> ArrayRef {
    Arc::new(UInt8Array::from_iter_values(values))
}

pub(super) fn u64_column(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(values))
}

pub(super) fn i64_column(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

/// Ids of 16 bytes.
pub(super) fn id_column(
    table: &'static str,
    values: impl ExactSizeIterator<Item = u128>,
) -> Result<ArrayRef, StoreError> {
    let mut builder = FixedSizeBinaryBuilder::with_capacity(values.len(), 16);
    for value in values {
        let appended = builder.append_value(value.to_be_bytes());
        appended.map_err(|error| StoreError::Table { table, what: error.to_string() })?;
    }
    Ok(Arc::new(builder.finish()))
}

/// Columns of a batch by name, as the types they should have.
pub(super) struct Columns<'a> {
    pub(super) table: &'static str,
    pub(super) batch: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    fn wrong(&self, name: &str) -> StoreError {
        let what = format!("column {name} is missing, has nulls or the wrong type");
        StoreError::Table { table: self.table, what }
    }

    fn column(&self, name: &str) -> Result<&'a ArrayRef, StoreError> {
        let column = self.batch.column_by_name(name).filter(|column| column.null_count() == 0);
        column.ok_or_else(|| self.wrong(name))
    }

    pub(super) fn numbers<T: ArrowPrimitiveType>(
        &self,
        name: &str,
    ) -> Result<&'a [T::Native], StoreError> {
        let numbers = self.column(name)?.as_primitive_opt::<T>();
        Ok(numbers.ok_or_else(|| self.wrong(name))?.values())
    }

    pub(super) fn bytes(&self, name: &str) -> Result<&'a BinaryArray, StoreError> {
        self.column(name)?.as_binary_opt::<i32>().ok_or_else(|| self.wrong(name))
    }

    pub(super) fn ids(&self, name: &str) -> Result<Vec<u128>, StoreError> {
        let column: Option<&FixedSizeBinaryArray> = self.column(name)?.as_fixed_size_binary_opt();
        let id = |bytes: Option<&[u8]>| Some(u128::from_be_bytes(bytes?.try_into().ok()?));
        let ids = column.and_then(|column| column.iter().map(id).collect());
        ids.ok_or_else(|| self.wrong(name))
    }

    /// Texts by row; those that are equal share memory.
    pub(super) fn texts(&self, name: &str) -> Result<Repeated<'a, Arc<str>>, StoreError> {
        let dictionary = self.dictionary(name)?;
        let values = dictionary.values().as_string_opt::<i32>().ok_or_else(|| self.wrong(name))?;
        Ok(Repeated::new(dictionary, values.iter().map(|text| text.unwrap_or("").into())))
    }

    /// Bytes by row; those that are equal share memory.
    pub(super) fn blobs(&self, name: &str) -> Result<Repeated<'a, Arc<[u8]>>, StoreError> {
        let dictionary = self.dictionary(name)?;
        let values = dictionary.values().as_binary_opt::<i32>().ok_or_else(|| self.wrong(name))?;
        Ok(Repeated::new(dictionary, values.iter().map(|bytes| bytes.unwrap_or(&[]).into())))
    }

    fn dictionary(&self, name: &str) -> Result<&'a DictionaryArray<Int32Type>, StoreError> {
        let column = self.column(name)?.as_any();
        column.downcast_ref().ok_or_else(|| self.wrong(name))
    }
}

/// A column whose values are kept once each.
pub(super) struct Repeated<'a, T> {
    keys: &'a [i32],
    values: Vec<T>,
}

impl<'a, T: Clone + Default> Repeated<'a, T> {
    fn new(column: &'a DictionaryArray<Int32Type>, values: impl Iterator<Item = T>) -> Self {
        Self { keys: column.keys().values(), values: values.collect() }
    }

    pub(super) fn value(&self, row: usize) -> T {
        let at = usize::try_from(self.keys[row]).unwrap_or(usize::MAX);
        self.values.get(at).cloned().unwrap_or_default()
    }
}
