//! What was not understood, by reason: the metric's labels are here and nowhere else.

/// Why exchanges could not be told, on a connection that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Chunks are missing, where a message's head or end may have been.
    BytesLost,
    /// A head went on behind what was captured of its chunk.
    HeadUncaptured,
    /// A head is longer than [`MAX_HEAD_BYTES`](super::MAX_HEAD_BYTES).
    HeadTooLong,
    /// A head was still not whole when the connection ended, or for too long.
    HeadUnfinished,
    /// Where a message ended, something else than a head followed.
    NotAHead,
    /// A response whose request was not seen.
    ResponseWithoutRequest,
    /// A request while it is not known which responses are due.
    RequestAfterLoss,
    /// An exchange without a byte for too long.
    TimedOut,
}

impl Loss {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::BytesLost,
        Self::HeadUncaptured,
        Self::HeadTooLong,
        Self::HeadUnfinished,
        Self::NotAHead,
        Self::ResponseWithoutRequest,
        Self::RequestAfterLoss,
        Self::TimedOut,
    ];

    /// The metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::BytesLost => "bytes_lost",
            Self::HeadUncaptured => "head_uncaptured",
            Self::HeadTooLong => "head_too_long",
            Self::HeadUnfinished => "head_unfinished",
            Self::NotAHead => "not_a_head",
            Self::ResponseWithoutRequest => "response_without_request",
            Self::RequestAfterLoss => "request_after_loss",
            Self::TimedOut => "timed_out",
        }
    }
}

/// Why a connection is not followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// Its first bytes, or many chunks of one that was open before, are not HTTP.
    NotHttp,
    /// HTTP/2 without TLS.
    Http2,
    /// Encrypted.
    Tls,
    /// A head that no parser should take.
    MalformedHead,
    /// A length that is no number.
    BadLength,
    /// Two lengths that differ.
    TwoLengths,
    /// A length and a transfer coding: parsers differ in what they believe.
    LengthAndCoding,
    /// A request with a transfer coding other than `chunked`: its end cannot be told.
    UnknownCoding,
    /// A chunk size that is no number, or a chunk longer than its size.
    BadChunk,
    /// More requests wait for responses than are kept.
    TooManyInFlight,
    /// Too many losses in a row.
    LostTooOften,
}

impl GiveUp {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::NotHttp,
        Self::Http2,
        Self::Tls,
        Self::MalformedHead,
        Self::BadLength,
        Self::TwoLengths,
        Self::LengthAndCoding,
        Self::UnknownCoding,
        Self::BadChunk,
        Self::TooManyInFlight,
        Self::LostTooOften,
    ];

    /// The metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotHttp => "not_http",
            Self::Http2 => "http2",
            Self::Tls => "tls",
            Self::MalformedHead => "malformed_head",
            Self::BadLength => "bad_length",
            Self::TwoLengths => "two_lengths",
            Self::LengthAndCoding => "length_and_coding",
            Self::UnknownCoding => "unknown_coding",
            Self::BadChunk => "bad_chunk",
            Self::TooManyInFlight => "too_many_in_flight",
            Self::LostTooOften => "lost_too_often",
        }
    }
}

/// How often each of them happened, and how many bytes are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    losses: [u64; Loss::ALL.len()],
    gave_up: [u64; GiveUp::ALL.len()],
    /// Bytes in chunks that never came, wherever they belonged.
    pub lost_bytes: u64,
}

impl Counts {
    /// How often this was lost.
    #[must_use]
    pub const fn lost(&self, loss: Loss) -> u64 {
        self.losses[loss as usize]
    }

    /// Connections given up for this reason.
    #[must_use]
    pub const fn gave_up(&self, reason: GiveUp) -> u64 {
        self.gave_up[reason as usize]
    }

    /// Everything lost, whatever the reason.
    #[must_use]
    pub fn all_lost(&self) -> u64 {
        self.losses.iter().sum()
    }

    pub(super) const fn lose(&mut self, loss: Loss) {
        self.losses[loss as usize] += 1;
    }

    pub(super) const fn give_up(&mut self, reason: GiveUp) {
        self.gave_up[reason as usize] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_reason_is_its_place_in_the_list() {
        for (number, loss) in Loss::ALL.into_iter().enumerate() {
            assert_eq!(loss as usize, number, "{}", loss.label());
        }
        for (number, reason) in GiveUp::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number, "{}", reason.label());
        }
    }
}
