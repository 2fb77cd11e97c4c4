//! Why a request was refused: one list for the answer, its status and the metric's label.

use axum::http::StatusCode;

use crate::store::StoreError;

/// A refusal. A refused request changes nothing.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Larger than one request may be.
    #[error("{what} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit that it breaks.
        limit_bytes: usize,
    },
    /// More of something than a request may carry.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit that it breaks.
        limit: usize,
    },
    /// Bytes that are not what they should be.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// Where reading failed.
        why: String,
    },
    /// An id or index that names nothing.
    #[error("{at} names {what} {id}, which the profile does not have")]
    UnknownId {
        /// What is named, as "location".
        what: &'static str,
        /// The id.
        id: u64,
        /// Where it stands.
        at: String,
    },
    /// A label that cannot be stored.
    #[error("label {name:?} {why}")]
    BadLabel {
        /// Start of the name, as sent.
        name: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// A value that cannot be added up.
    #[error("sample {sample} has the value {value}: must be from 0 to 2^53")]
    BadValue {
        /// Index of the sample.
        sample: usize,
        /// Its value.
        value: i64,
    },
    /// A time out of the accepted range.
    #[error("the profile starts at {start_unix_ms} ms since 1970, {why}")]
    BadTime {
        /// Start of the profile.
        start_unix_ms: i64,
        /// Which bound it breaks.
        why: &'static str,
    },
    /// A query parameter or part that is missing or wrong.
    #[error("{name}: {why}")]
    BadParameter {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A format, content type or encoding that is not taken.
    #[error("{what} {got:?} is not accepted here; accepted: {accepted}")]
    Unsupported {
        /// As "content type".
        what: &'static str,
        /// What was sent.
        got: String,
        /// What is taken.
        accepted: &'static str,
    },
    /// Too many requests are being read at once.
    #[error("too many requests at once; send it again later")]
    Overloaded,
    /// The body did not arrive whole.
    #[error("the body did not arrive: {0}")]
    Body(String),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl IngestError {
    /// The `reason` of the metric.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::TooMany { .. } => "too_many",
            Self::Malformed { .. } => "malformed",
            Self::UnknownId { .. } => "unknown_id",
            Self::BadLabel { .. } => "bad_label",
            Self::BadValue { .. } => "bad_value",
            Self::BadTime { .. } => "bad_time",
            Self::BadParameter { .. } => "bad_parameter",
            Self::Unsupported { .. } => "unsupported",
            Self::Overloaded => "overloaded",
            Self::Body(_) => "body",
            Self::Store(StoreError::DiskFull { .. }) => "disk_full",
            Self::Store(StoreError::Busy { .. }) => "store_busy",
            Self::Store(_) => "store",
        }
    }

    /// The answer's status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unsupported { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Self::Store(
                StoreError::DiskFull { .. } | StoreError::Busy { .. } | StoreError::Closed,
            ) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The `code` of a Connect error.
    #[must_use]
    pub fn connect_code(&self) -> &'static str {
        match self.status() {
            StatusCode::TOO_MANY_REQUESTS => "resource_exhausted",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            StatusCode::INTERNAL_SERVER_ERROR => "internal",
            _ => "invalid_argument",
        }
    }

    pub(super) fn malformed(what: &'static str, why: impl Into<String>) -> Self {
        Self::Malformed { what, why: why.into() }
    }
}
