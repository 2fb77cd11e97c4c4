//! The YAML file. Keys that are not known are refused, with file, line and what was expected.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::listener::Listener;
use super::quantity::{read_bytes, read_duration};

/// Larger files are no configuration.
const MAX_BYTES: u64 = 1 << 20;

/// The file's content; everything may be left out.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// As `--listen`.
    pub listen: Option<SocketAddr>,
    /// As `--forward`.
    pub forward: Option<String>,
    /// As `--data`.
    pub data: Option<PathBuf>,
    /// As `--log`.
    pub log: Option<String>,
    /// Where OTLP is taken in, beside the port for everything.
    pub otlp: Otlp,
    /// How long and how much is kept.
    pub retention: Retention,
    /// When samples are added up over longer windows.
    pub decay: Decay,
    /// When memory is written to Parquet.
    pub flush: Flush,
    /// What questions may take.
    pub query: Query,
}

/// Where OTLP is taken in, beside the port for everything.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Otlp {
    /// As `--otlp-grpc`.
    pub grpc: Option<Listener>,
    /// As `--otlp-http`.
    pub http: Option<Listener>,
}

/// How long and how much is kept.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// As `--retention-age`.
    #[serde(deserialize_with = "read_duration")]
    pub age: Option<Duration>,
    /// As `--retention-size`.
    #[serde(deserialize_with = "read_bytes")]
    pub size: Option<u64>,
}

/// When samples are added up over longer windows. Ages beyond the retention switch it off.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Decay {
    /// By the minute when they are older than this.
    #[serde(deserialize_with = "read_duration")]
    pub minute_after: Option<Duration>,
    /// By the hour when they are older than this.
    #[serde(deserialize_with = "read_duration")]
    pub hour_after: Option<Duration>,
}

/// When memory is written to Parquet.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Flush {
    /// At the latest after this time.
    #[serde(deserialize_with = "read_duration")]
    pub interval: Option<Duration>,
    /// At the latest at this size.
    #[serde(deserialize_with = "read_bytes")]
    pub size: Option<u64>,
}

/// What questions may take.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    /// Memory of one question.
    #[serde(deserialize_with = "read_bytes")]
    pub memory: Option<u64>,
    /// Memory for merged trees that are kept.
    #[serde(deserialize_with = "read_bytes")]
    pub cache: Option<u64>,
    /// Questions computed at the same time.
    pub concurrency: Option<usize>,
    /// Questions that take longer are given up.
    #[serde(deserialize_with = "read_duration")]
    pub timeout: Option<Duration>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused to read it.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is too large to be one.
    #[error("{path} is larger than {MAX_BYTES} bytes, so it is no configuration")]
    Large {
        /// The file.
        path: PathBuf,
    },
    /// Its content is wrong; `source` names line, key and what was expected.
    #[error("{path}: {}", with_line(source))]
    Content {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: serde_yaml_ng::Error,
    },
}

/// The parser leaves out the place of what is wrong at the very start.
fn with_line(error: &serde_yaml_ng::Error) -> String {
    let text = error.to_string();
    match error.location() {
        Some(place) if !text.contains(" at line ") => {
            format!("{text} at line {} column {}", place.line(), place.column())
        }
        _ => text,
    }
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or its content is wrong.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let refused = |source| FileError::Read { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(refused)?.len() > MAX_BYTES {
            return Err(FileError::Large { path: path.to_owned() });
        }
        let text = std::fs::read_to_string(path).map_err(refused)?;
        Self::parse(&text).map_err(|source| FileError::Content { path: path.to_owned(), source })
    }

    fn parse(text: &str) -> Result<Self, serde_yaml_ng::Error> {
        // A file of comments only is an empty document, not a map.
        let only_comments = text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---"
        });
        if only_comments { Ok(Self::default()) } else { serde_yaml_ng::from_str(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        File::parse(text).expect_err("a bad file").to_string()
    }

    #[test]
    fn a_file_may_leave_out_everything() {
        assert_eq!(File::parse("# nothing yet\n").expect("an empty file"), File::default());
        let file = File::parse("retention:\n  age: 3d\n").expect("a good file");
        assert_eq!(file.retention.age, Some(Duration::from_secs(3 * 86_400)));
    }

    #[test]
    fn a_wrong_key_is_named_with_its_line_and_the_known_ones() {
        let error = refused("listen: 127.0.0.1:1\nretention:\n  ages: 7d\n");
        assert!(error.contains("ages") && error.contains("line 3"), "{error}");
        assert!(error.contains("`age`"), "{error}");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line_and_what_was_expected() {
        let error = refused("flush:\n  size: 4MiB\n  interval: soon\n");
        assert!(error.contains("flush.interval") && error.contains("line 3"), "{error}");
        assert!(error.contains("write it like 90s"), "{error}");
    }
}
