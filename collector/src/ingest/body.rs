//! Bodies and their decompression, bounded for one request and for all together.

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::read::MultiGzDecoder;

use super::error::IngestError;

/// How much decompression reads before it asks the budget again.
const STEP: usize = 256 << 10;

/// Memory that all requests share.
#[derive(Clone)]
pub(super) struct Budget {
    free_bytes: Arc<AtomicUsize>,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self { free_bytes: Arc::new(AtomicUsize::new(bytes)) }
    }

    /// A share for one request, empty at first; given back when it is dropped.
    pub(super) fn share(&self) -> Share {
        Share { budget: self.clone(), held_bytes: 0 }
    }
}

/// What one request holds of the [`Budget`].
pub(super) struct Share {
    budget: Budget,
    held_bytes: usize,
}

impl Share {
    /// Takes `bytes` more.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), IngestError> {
        let take = |free: usize| free.checked_sub(bytes);
        self.budget
            .free_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .map_err(|_| IngestError::Overloaded)?;
        self.held_bytes += bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.free_bytes.fetch_add(self.held_bytes, Ordering::Relaxed);
    }
}

/// Decompresses for one request, all its parts together within a limit.
pub(super) struct Unzip {
    share: Share,
    left_bytes: usize,
    limit_bytes: usize,
}

impl Unzip {
    pub(super) fn new(share: Share, limit_bytes: usize) -> Self {
        Self { share, left_bytes: limit_bytes, limit_bytes }
    }

    /// Holds more memory for what is made of the bytes.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), IngestError> {
        self.share.take(bytes)
    }

    /// The memory that is still held for what was decompressed.
    pub(super) fn into_share(self) -> Share {
        self.share
    }

    /// `bytes` without gzip around them; as they are if there is none.
    pub(super) fn plain<'a>(&mut self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, IngestError> {
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            return Ok(Cow::Borrowed(bytes));
        }
        let mut decoder = MultiGzDecoder::new(bytes);
        let mut plain = Vec::new();
        loop {
            let step = STEP.min(self.left_bytes + 1);
            self.share.take(step)?;
            let got = decoder
                .by_ref()
                .take(step as u64)
                .read_to_end(&mut plain)
                .map_err(|error| IngestError::malformed("gzip", error.to_string()))?;
            self.left_bytes = self.left_bytes.checked_sub(got).ok_or(IngestError::TooLarge {
                what: "the decompressed request",
                limit_bytes: self.limit_bytes,
            })?;
            if got < step {
                return Ok(Cow::Owned(plain));
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test data is known")]
pub(super) mod tests {
    use std::io::Write;

    use super::*;

    pub(in crate::ingest) fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn a_gzip_bomb_is_refused_at_the_limit() {
        let bomb = gzip(&vec![0; 8 << 20]);
        let budget = Budget::new(64 << 20);
        let refused = Unzip::new(budget.share(), 1 << 20).plain(&bomb).unwrap_err();
        assert_eq!(refused.label(), "too_large");
        let exact = Unzip::new(budget.share(), 8 << 20).plain(&bomb).unwrap().len();
        assert_eq!(exact, 8 << 20);
    }

    #[test]
    fn a_truncated_gzip_is_refused() {
        let whole = gzip(b"some bytes that are long enough");
        let refused =
            Unzip::new(Budget::new(1 << 20).share(), 1 << 20).plain(&whole[..20]).unwrap_err();
        assert_eq!(refused.label(), "malformed");
    }

    #[test]
    fn requests_share_one_budget_and_give_it_back() {
        let budget = Budget::new(3 << 20);
        let body = gzip(&vec![7; 2 << 20]);
        let mut first = Unzip::new(budget.share(), 64 << 20);
        first.plain(&body).unwrap();
        let refused = Unzip::new(budget.share(), 64 << 20).plain(&body).unwrap_err();
        assert_eq!(refused.label(), "overloaded");
        drop(first);
        assert!(Unzip::new(budget.share(), 64 << 20).plain(&body).is_ok());
    }
}
