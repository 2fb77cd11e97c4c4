//! What the API says when it cannot answer: `{"error":{"code","message"}}` and a status.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::query::{PatternError, RangeError, SelectorError};
use crate::store::StoreError;

/// A refusal or a failure. The message names the parameter, the reason and the remedy.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("`{name}` is {why}")]
    Parameter { name: &'static str, why: String },
    #[error("`selector`: {0}")]
    Selector(SelectorError),
    #[error("`type`: {0}")]
    Type(SelectorError),
    #[error("{0}")]
    Range(#[from] RangeError),
    #[error("`q`: {0}")]
    Pattern(#[from] PatternError),
    #[error("there is no {0} here; the API is described by /api/v1/profile/types and its siblings")]
    NoSuchPath(String),
    #[error("nothing was found to {0}: choose a wider range or another selector")]
    Nothing(&'static str),
    #[error(
        "there is no trace {0}: it was not sent here, not sampled, or is older than what is kept"
    )]
    NoTrace(String),
    #[error("too many questions at once: ask again in a few seconds")]
    Busy,
    #[error("no answer within {0} s: choose a shorter range or a narrower selector")]
    TooSlow(u64),
    #[error(transparent)]
    Store(StoreError),
    #[error("{0}")]
    Internal(String),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Parameter { .. }
            | Self::Selector(_)
            | Self::Type(_)
            | Self::Range(_)
            | Self::Pattern(_)
            | Self::Store(StoreError::BadSelect(_)) => StatusCode::BAD_REQUEST,
            Self::NoSuchPath(_) | Self::Nothing(_) | Self::NoTrace(_) => StatusCode::NOT_FOUND,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::TooSlow(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(error) if error.is_retryable() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(&self) -> &'static str {
        match self.status() {
            StatusCode::BAD_REQUEST => "invalid_argument",
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::TOO_MANY_REQUESTS => "resource_exhausted",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            _ => "internal",
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %self, "a question failed");
        }
        let error = serde_json::json!({ "code": self.code(), "message": self.to_string() });
        let mut response = (status, Json(serde_json::json!({ "error": error }))).into_response();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}
