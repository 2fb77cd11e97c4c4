//! Why the store said no.

use std::io;
use std::path::PathBuf;

/// A refusal or a failure of the store. None of them loses what was acknowledged before.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The write-ahead log cannot grow. Nothing of the push was kept; worth trying again later.
    #[error("no space left for the write-ahead log {path}: free some disk or lower the retention")]
    DiskFull {
        /// The log's segment.
        path: PathBuf,
    },
    /// More is being pushed than can be written to disk. Worth trying again later.
    #[error("{segments} segments wait to be written to disk")]
    Busy {
        /// How many segments wait.
        segments: usize,
    },
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
    /// Another process has the data directory.
    #[error("{path} is in use by another sonde-collector: stop it, or choose another --data")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A file is not what it should be, and going on would lose or double data.
    #[error("{path} is damaged ({what}): {remedy}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What an operator can do.
        remedy: &'static str,
    },
    /// The operating system refused something.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was tried, as "write" or "rename".
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A query failed, or needed more memory than it may take.
    #[error("query failed: {0}")]
    Query(#[from] Box<datafusion::error::DataFusionError>),
    /// A table could not be encoded or decoded.
    #[error("table {table}: {what}")]
    Table {
        /// Name of the table.
        table: &'static str,
        /// What was wrong.
        what: String,
    },
    /// The question itself makes no sense.
    #[error("{0}")]
    BadSelect(String),
}

impl StoreError {
    /// True where the same request may succeed later without a change to it.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::BadSelect(_) | Self::Locked { .. } | Self::Damaged { .. })
    }

    /// The same error for another push of the group that failed.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::DiskFull { path } => Self::DiskFull { path: path.clone() },
            Self::Busy { segments } => Self::Busy { segments: *segments },
            Self::Io { doing, path, source } => Self::Io {
                doing,
                path: path.clone(),
                source: io::Error::new(source.kind(), source.to_string()),
            },
            other => Self::Table { table: "log", what: other.to_string() },
        }
    }

    /// Wraps an I/O error; a full disk becomes [`StoreError::DiskFull`].
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { doing, path, source },
        }
    }
}

impl From<datafusion::error::DataFusionError> for StoreError {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        Self::Query(Box::new(error))
    }
}
