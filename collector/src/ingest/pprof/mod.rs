//! pprof in: bytes to checked profiles. Nothing it names is out of range, no table larger than its
//! limit, and memory stays a small multiple of the bytes.

mod convert;
mod tables;

use std::borrow::Cow;

pub(super) use convert::{Context, Totals, profiles};
use tables::{Function, Location, Mapping, Sample, ValueType};

use super::error::IngestError;
use super::limits::Limits;
use super::protobuf::{Fields, Value};

/// A pprof message taken apart, its ids not looked at yet. Borrows the message.
#[derive(Default)]
pub(super) struct Message<'a> {
    sample_types: Vec<ValueType>,
    samples: Vec<Sample<'a>>,
    mappings: Vec<Mapping>,
    locations: Vec<Location<'a>>,
    functions: Vec<Function>,
    strings: Vec<&'a [u8]>,
    /// 0 where the sender did not say.
    time_unix_ns: i64,
    duration_ns: i64,
    period_type: ValueType,
    period: i64,
}

impl<'a> Message<'a> {
    /// Takes a message apart.
    pub(super) fn parse(bytes: &'a [u8], limits: &Limits) -> Result<Self, IngestError> {
        let mut message = Self::default();
        let mut fields = Fields::new("pprof profile", bytes);
        while let Some(field) = fields.next()? {
            message.field(field.number, &field.value, limits)?;
        }
        if message.strings.first().is_none_or(|first| !first.is_empty()) {
            let why = "the string table does not begin with the empty string";
            return Err(IngestError::malformed("pprof profile", why));
        }
        Ok(message)
    }

    fn field(
        &mut self,
        number: u64,
        value: &Value<'a>,
        limits: &Limits,
    ) -> Result<(), IngestError> {
        let bytes = || value.bytes("pprof profile");
        let signed = || Ok(value.number("pprof profile")?.cast_signed());
        let rows = limits.table_rows;
        match number {
            1 => add(
                &mut self.sample_types,
                ValueType::parse(bytes()?)?,
                limits.sample_types,
                "sample types",
            ),
            2 => add(&mut self.samples, Sample(bytes()?), limits.samples, "samples"),
            3 => add(&mut self.mappings, Mapping::parse(bytes()?)?, rows, "mappings"),
            4 => add(&mut self.locations, Location::parse(bytes()?)?, rows, "locations"),
            5 => add(&mut self.functions, Function::parse(bytes()?)?, rows, "functions"),
            6 => add(&mut self.strings, bytes()?, rows, "strings"),
            9 => signed().map(|ns| self.time_unix_ns = ns),
            10 => signed().map(|ns| self.duration_ns = ns),
            11 => ValueType::parse(bytes()?).map(|period_type| self.period_type = period_type),
            12 => signed().map(|period| self.period = period),
            _ => Ok(()),
        }
    }

    /// Whether the message says when it was taken.
    pub(super) fn has_time(&self) -> bool {
        self.time_unix_ns > 0
    }

    /// First sample type's name: what a request without `__name__` is classified by.
    pub(super) fn first_sample_type(&self) -> Option<Cow<'a, str>> {
        let index = usize::try_from(self.sample_types.first()?.type_index).ok()?;
        Some(String::from_utf8_lossy(self.strings.get(index)?))
    }
}

fn add<T>(list: &mut Vec<T>, item: T, limit: usize, what: &'static str) -> Result<(), IngestError> {
    if list.len() >= limit {
        return Err(IngestError::TooMany { what, limit });
    }
    list.push(item);
    Ok(())
}
