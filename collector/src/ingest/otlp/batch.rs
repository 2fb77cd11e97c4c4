//! The rows of one request while they are made, and what they have in common.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::rejected::{Rejected, Rejection};
use crate::ingest::error::IngestError;
use crate::ingest::limits::Limits;
use crate::metric::Point;
use crate::trace::Span;

/// What decoding may know of the world.
#[derive(Clone, Copy)]
pub(in crate::ingest) struct Context<'a> {
    pub(in crate::ingest) now_unix_ms: i64,
    pub(in crate::ingest) limits: &'a Limits,
}

/// What a request carried.
#[derive(Debug, Default)]
pub(in crate::ingest) struct Batch {
    pub(in crate::ingest) spans: Vec<Span>,
    pub(in crate::ingest) points: Vec<Point>,
    pub(super) rejected: Rejected,
    /// Exemplars of the points, which are not kept.
    pub(super) exemplars: u64,
}

impl Context<'_> {
    /// A time in nanoseconds since 1970, if it is one of which data is kept.
    pub(super) fn time(&self, unix_ns: u64) -> Result<i64, Rejection> {
        let unix_ns = i64::try_from(unix_ns).unwrap_or(0);
        let unix_ms = unix_ns / 1_000_000;
        if unix_ns == 0 {
            Err(Rejection::NoTime)
        } else if unix_ms > self.now_unix_ms.saturating_add(self.limits.future_ms) {
            Err(Rejection::InFuture)
        } else if unix_ms < self.now_unix_ms.saturating_sub(self.limits.age_ms) {
            Err(Rejection::TooOld)
        } else {
            Ok(unix_ns)
        }
    }

    /// Counts a row against the limit of one request.
    pub(super) fn count(&self, rows: &mut usize) -> Result<(), IngestError> {
        *rows += 1;
        let limit = self.limits.otlp_rows;
        if *rows > limit {
            return Err(IngestError::TooMany { what: "spans or points in one request", limit });
        }
        Ok(())
    }

    /// Counts objects and arrays of JSON; refuses what would take much more memory than its bytes.
    pub(super) fn json_objects(&self, json: &[u8]) -> Result<usize, IngestError> {
        let limit = self.limits.json_objects;
        let objects = memchr::memchr2_iter(b'{', b'[', json).count();
        if objects > limit {
            return Err(IngestError::TooMany { what: "objects and arrays in JSON", limit });
        }
        Ok(objects)
    }

    /// Refuses a resource or a scope that is too large to be one.
    pub(super) fn check_head(&self, message: &[u8]) -> Result<(), IngestError> {
        let limit_bytes = self.limits.otlp_row_bytes;
        if message.len() > limit_bytes {
            return Err(IngestError::TooLarge { what: "a resource or scope", limit_bytes });
        }
        Ok(())
    }
}

/// Texts of one request, each once.
#[derive(Default)]
pub(super) struct Texts(FxHashSet<Arc<str>>);

impl Texts {
    pub(super) fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.0.insert(Arc::clone(&new));
        new
    }
}
