//! A reader of pprof files that shares no code with Sonde's own: what a stranger would see.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use prost::Message;

/// `perftools.profiles.Profile`, as far as tests look.
#[derive(Clone, PartialEq, Message)]
pub struct Profile {
    /// What the numbers of a sample mean.
    #[prost(message, repeated, tag = "1")]
    pub sample_type: Vec<ValueType>,
    /// Stacks, leaf first.
    #[prost(message, repeated, tag = "2")]
    pub sample: Vec<Sample>,
    /// Mapped files.
    #[prost(message, repeated, tag = "3")]
    pub mapping: Vec<Mapping>,
    /// Addresses.
    #[prost(message, repeated, tag = "4")]
    pub location: Vec<Location>,
    /// Functions.
    #[prost(message, repeated, tag = "5")]
    pub function: Vec<Function>,
    /// All strings; the first is empty.
    #[prost(string, repeated, tag = "6")]
    pub string_table: Vec<String>,
    /// Start, in nanoseconds of Unix time.
    #[prost(int64, tag = "9")]
    pub time_nanos: i64,
    /// Length, in nanoseconds.
    #[prost(int64, tag = "10")]
    pub duration_nanos: i64,
    /// Kind of the period.
    #[prost(message, optional, tag = "11")]
    pub period_type: Option<ValueType>,
    /// One sample stands for this much.
    #[prost(int64, tag = "12")]
    pub period: i64,
}

/// Kind and unit, as indices into the string table.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct ValueType {
    /// Kind.
    #[prost(int64, tag = "1")]
    pub r#type: i64,
    /// Unit.
    #[prost(int64, tag = "2")]
    pub unit: i64,
}

/// One stack.
#[derive(Clone, PartialEq, Message)]
pub struct Sample {
    /// Location ids, leaf first.
    #[prost(uint64, repeated, tag = "1")]
    pub location_id: Vec<u64>,
    /// One value per sample type.
    #[prost(int64, repeated, tag = "2")]
    pub value: Vec<i64>,
}

/// A mapped file.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Mapping {
    /// Id.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// File name, in the string table.
    #[prost(int64, tag = "5")]
    pub filename: i64,
    /// Build id, in the string table.
    #[prost(int64, tag = "6")]
    pub build_id: i64,
}

/// An address with its lines, innermost first.
#[derive(Clone, PartialEq, Message)]
pub struct Location {
    /// Id.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Mapping id, 0 for none.
    #[prost(uint64, tag = "2")]
    pub mapping_id: u64,
    /// Address, as the file's own headers count it.
    #[prost(uint64, tag = "3")]
    pub address: u64,
    /// Lines.
    #[prost(message, repeated, tag = "4")]
    pub line: Vec<Line>,
}

/// A line of a function.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Line {
    /// Function id.
    #[prost(uint64, tag = "1")]
    pub function_id: u64,
    /// Line number, 0 for unknown.
    #[prost(int64, tag = "2")]
    pub line: i64,
}

/// A function.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Function {
    /// Id.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Name, in the string table.
    #[prost(int64, tag = "2")]
    pub name: i64,
    /// Source file, in the string table.
    #[prost(int64, tag = "4")]
    pub filename: i64,
}

/// Where in a program's source.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Name of the function.
    pub function: &'a str,
    /// Path, or empty.
    pub file: &'a str,
    /// Line, 0 for unknown.
    pub line: i64,
    /// What was seen there.
    pub value: i64,
}

/// Reads a gzipped pprof file.
///
/// # Errors
/// When it is not gzip, not protobuf, or not there.
pub fn read(path: &Path) -> Result<Profile> {
    let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).context("unpack")?;
    Profile::decode(&plain[..]).context("decode")
}

impl Profile {
    /// Every stack as names, leaf first, with its first value.
    ///
    /// # Errors
    /// When a sample names a location or a location a function that is not there.
    pub fn stacks(&self) -> Result<Vec<(Vec<&str>, i64)>> {
        let functions: HashMap<u64, &Function> =
            self.function.iter().map(|function| (function.id, function)).collect();
        let locations: HashMap<u64, &Location> =
            self.location.iter().map(|location| (location.id, location)).collect();
        let name = |line: &Line| -> Result<&str> {
            let function = functions.get(&line.function_id).context("unknown function id")?;
            let index = usize::try_from(function.name).context("negative string index")?;
            self.string_table.get(index).map(String::as_str).context("unknown string index")
        };
        let names = |sample: &Sample| -> Result<(Vec<&str>, i64)> {
            let mut stack = Vec::new();
            for id in &sample.location_id {
                let location = locations.get(id).context("unknown location id")?;
                for line in &location.line {
                    stack.push(name(line)?);
                }
            }
            Ok((stack, sample.value.first().copied().unwrap_or(0)))
        };
        self.sample.iter().map(names).collect()
    }

    /// The innermost frame of every stack, with the stack's first value.
    ///
    /// # Errors
    /// As [`Profile::stacks`].
    pub fn leaf_sources(&self) -> Result<Vec<Source<'_>>> {
        let text = |index: i64| -> Result<&str> {
            let index = usize::try_from(index).context("negative string index")?;
            self.string_table.get(index).map(String::as_str).context("unknown string index")
        };
        let source = |sample: &Sample| -> Result<Source<'_>> {
            let leaf = sample.location_id.first().context("a stack without frames")?;
            let location = self.location.iter().find(|location| location.id == *leaf);
            let line = location.and_then(|location| location.line.first());
            let line = line.context("unknown location id")?;
            let function = self.function.iter().find(|function| function.id == line.function_id);
            let function = function.context("unknown function id")?;
            Ok(Source {
                function: text(function.name)?,
                file: text(function.filename)?,
                line: line.line,
                value: sample.value.first().copied().unwrap_or(0),
            })
        };
        self.sample.iter().map(source).collect()
    }

    /// The share, in percent, of samples with this function anywhere.
    ///
    /// # Errors
    /// As [`Profile::stacks`].
    pub fn share(&self, function: &str) -> Result<f64> {
        let (mut with, mut all) = (0.0, 0.0);
        for (stack, value) in self.stacks()? {
            let value = value as f64;
            all += value;
            if stack.contains(&function) {
                with += value;
            }
        }
        Ok(100.0 * with / all)
    }
}
