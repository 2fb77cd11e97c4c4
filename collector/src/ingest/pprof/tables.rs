//! Rows of a pprof message, ids as they come. Field numbers are those of pprof's `profile.proto`.

use crate::ingest::error::IngestError;
use crate::ingest::protobuf::{Fields, numbers};

/// What values measure: indices of strings.
#[derive(Clone, Copy, Default)]
pub(super) struct ValueType {
    pub(super) type_index: u64,
    pub(super) unit_index: u64,
}

impl ValueType {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, IngestError> {
        let mut row = Self::default();
        let mut fields = Fields::new("value type", bytes);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => row.type_index = field.value.number("value type")?,
                2 => row.unit_index = field.value.number("value type")?,
                _ => {}
            }
        }
        Ok(row)
    }
}

/// A mapped file.
#[derive(Clone, Copy, Default)]
pub(super) struct Mapping {
    pub(super) id: u64,
    pub(super) start: u64,
    pub(super) limit: u64,
    pub(super) offset: u64,
    pub(super) filename_index: u64,
    pub(super) build_id_index: u64,
}

impl Mapping {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, IngestError> {
        let mut row = Self::default();
        let mut fields = Fields::new("mapping", bytes);
        while let Some(field) = fields.next()? {
            let number = || field.value.number("mapping");
            match field.number {
                1 => row.id = number()?,
                2 => row.start = number()?,
                3 => row.limit = number()?,
                4 => row.offset = number()?,
                5 => row.filename_index = number()?,
                6 => row.build_id_index = number()?,
                _ => {}
            }
        }
        Ok(row)
    }

    /// An address of the process as an offset into the file, which is the same in every process.
    /// Senders that count from the file already say so with a mapping that starts at 0.
    pub(super) fn file_address(&self, address: u64) -> u64 {
        if self.start > 0 && (self.start..self.limit).contains(&address) {
            (address - self.start).saturating_add(self.offset)
        } else {
            address
        }
    }
}

/// A location; its lines are read when a sample names it.
#[derive(Clone, Copy, Default)]
pub(super) struct Location<'a> {
    pub(super) id: u64,
    pub(super) mapping_id: u64,
    pub(super) address: u64,
    bytes: &'a [u8],
}

impl<'a> Location<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, IngestError> {
        let mut row = Self { bytes, ..Self::default() };
        let mut fields = Fields::new("location", bytes);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => row.id = field.value.number("location")?,
                2 => row.mapping_id = field.value.number("location")?,
                3 => row.address = field.value.number("location")?,
                _ => {}
            }
        }
        Ok(row)
    }

    /// Function id and line of each function inlined here, innermost first.
    pub(super) fn lines(
        &self,
        mut visit: impl FnMut(u64, u32) -> Result<(), IngestError>,
    ) -> Result<(), IngestError> {
        let mut fields = Fields::new("location", self.bytes);
        while let Some(field) = fields.next()? {
            if field.number == 4 {
                let (function, line) = parse_line(field.value.bytes("line")?)?;
                visit(function, line)?;
            }
        }
        Ok(())
    }
}

fn parse_line(bytes: &[u8]) -> Result<(u64, u32), IngestError> {
    let (mut function, mut line) = (0, 0);
    let mut fields = Fields::new("line", bytes);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => function = field.value.number("line")?,
            // Negative or absurd lines say nothing: unknown.
            2 => line = u32::try_from(field.value.number("line")?).unwrap_or(0),
            _ => {}
        }
    }
    Ok((function, line))
}

/// A function: indices of strings.
#[derive(Clone, Copy, Default)]
pub(super) struct Function {
    pub(super) id: u64,
    pub(super) name_index: u64,
    pub(super) system_name_index: u64,
    pub(super) filename_index: u64,
}

impl Function {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, IngestError> {
        let mut row = Self::default();
        let mut fields = Fields::new("function", bytes);
        while let Some(field) = fields.next()? {
            let number = || field.value.number("function");
            match field.number {
                1 => row.id = number()?,
                2 => row.name_index = number()?,
                3 => row.system_name_index = number()?,
                4 => row.filename_index = number()?,
                _ => {}
            }
        }
        Ok(row)
    }
}

/// A sample, still as bytes.
#[derive(Clone, Copy)]
pub(super) struct Sample<'a>(pub(super) &'a [u8]);

/// A sample taken apart; reused from one sample to the next.
#[derive(Default)]
pub(super) struct SampleParts {
    /// Leaf first.
    pub(super) location_ids: Vec<u64>,
    pub(super) values: Vec<i64>,
    pub(super) labels: Vec<Label>,
}

/// A label of a sample. A string where `text_index` is not 0, else a number.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Label {
    pub(super) key_index: u64,
    pub(super) text_index: u64,
    pub(super) number: i64,
}

impl Sample<'_> {
    /// Replaces `parts`. `most` bounds stack depth, values and labels.
    pub(super) fn read(
        self,
        parts: &mut SampleParts,
        most: (usize, usize, usize),
    ) -> Result<(), IngestError> {
        parts.location_ids.clear();
        parts.values.clear();
        parts.labels.clear();
        let (depth, values, labels) = most;
        let mut fields = Fields::new("sample", self.0);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => numbers("sample", &field.value, |id| {
                    super::add(&mut parts.location_ids, id, depth, "frames of one stack")
                })?,
                2 => numbers("sample", &field.value, |value| {
                    super::add(&mut parts.values, value.cast_signed(), values, "values of a sample")
                })?,
                3 => {
                    let label = Label::parse(field.value.bytes("label")?)?;
                    super::add(&mut parts.labels, label, labels, "labels of a sample")?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Label {
    fn parse(bytes: &[u8]) -> Result<Self, IngestError> {
        let mut label = Self::default();
        let mut fields = Fields::new("label", bytes);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => label.key_index = field.value.number("label")?,
                2 => label.text_index = field.value.number("label")?,
                3 => label.number = field.value.number("label")?.cast_signed(),
                _ => {}
            }
        }
        Ok(label)
    }
}
