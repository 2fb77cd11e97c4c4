//! The settings file: a flat YAML mapping. Values stay text, each with the line it stands on.

use std::path::{Path, PathBuf};

use serde_yaml_ng::{Mapping, Value};

use super::layers::{Raw, RawValue, Source};
use super::problem::Problem;

/// Largest file that is read: settings are small, and the path may name anything.
const MAX_BYTES: u64 = 1 << 20;

/// What the file says, key by key.
#[derive(Debug, Default)]
pub(super) struct FileValues(Vec<(String, Raw)>);

impl FileValues {
    pub(super) fn get(&self, key: &str) -> Option<&Raw> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, raw)| raw)
    }

    /// What the file says about keys that do not exist.
    pub(super) fn unknown_keys(&self, known: &[&str]) -> Vec<Problem> {
        let unknown = self.0.iter().filter(|(name, _)| !known.contains(&name.as_str()));
        let problem = |(name, raw): &(String, Raw)| Problem {
            source: raw.source.clone(),
            key: name.clone(),
            what: "there is no such setting".to_owned(),
            remedy: format!("the settings are {}", known.join(", ")),
        };
        unknown.map(problem).collect()
    }
}

/// Reads and parses a file; a file that cannot be read or is no mapping is one problem.
pub(super) fn read(path: &Path) -> Result<FileValues, Problem> {
    let text = read_text(path)
        .map_err(|error| problem(path, None, error.to_string(), "name a file that can be read"))?;
    parse(&text, path)
}

/// A whole small text file.
pub(super) fn read_text(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(std::io::Error::other("larger than 1 MiB"));
    }
    Ok(text)
}

pub(super) fn parse(text: &str, path: &Path) -> Result<FileValues, Problem> {
    let value: Value = serde_yaml_ng::from_str(text).map_err(|error| {
        let place = error.location().map(|at| (at.line(), at.column()));
        problem(path, place, error.to_string(), "write one `key: value` on each line")
    })?;
    match value {
        Value::Null => Ok(FileValues::default()),
        Value::Mapping(mapping) => entries(&mapping, text, path),
        _ => {
            let what = "this is no mapping of settings".to_owned();
            Err(problem(path, Some((1, 1)), what, "write one `key: value` on each line"))
        }
    }
}

fn problem(path: &Path, place: Option<(usize, usize)>, what: String, remedy: &str) -> Problem {
    let source = Source::File(path.to_owned(), place);
    Problem { source, key: String::new(), what, remedy: remedy.to_owned() }
}

fn entries(mapping: &Mapping, text: &str, path: &Path) -> Result<FileValues, Problem> {
    let entry = |(key, value): (&Value, &Value)| {
        let key = scalar(key).unwrap_or_default();
        let source = Source::File(PathBuf::from(path), place_of(&key, text));
        match raw_value(value) {
            Some(RawValue::Text(text)) if text.is_empty() && value.is_null() => None,
            Some(value) => Some(Ok((key, Raw { value, source }))),
            None => Some(Err(Problem {
                source,
                key,
                what: "this is neither a value nor a mapping of values".to_owned(),
                remedy: "write one value, or `name: value` lines below the key".to_owned(),
            })),
        }
    };
    Ok(FileValues(mapping.iter().filter_map(entry).collect::<Result<_, _>>()?))
}

fn raw_value(value: &Value) -> Option<RawValue> {
    if let Value::Mapping(mapping) = value {
        let pair = |(name, value): (&Value, &Value)| Some((scalar(name)?, scalar(value)?));
        return mapping.iter().map(pair).collect::<Option<_>>().map(RawValue::Pairs);
    }
    scalar(value).map(RawValue::Text)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => None,
    }
}

/// Line and column of a top-level key's value, both from 1. The parser keeps places only for what it
/// refuses itself; keys start their line here.
fn place_of(key: &str, text: &str) -> Option<(usize, usize)> {
    let (line, rest) = text.lines().enumerate().find_map(|(index, line)| {
        Some((index + 1, line.strip_prefix(key)?.trim_start().strip_prefix(':')?))
    })?;
    let column = text.lines().nth(line - 1)?.len() - rest.trim_start().len() + 1;
    Some((line, column))
}
