//! Where in a body a stream is, and where the body ends.

use super::chunked::{BadChunk, Place};

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// By its length: so many bytes are left, at least one.
    Length(u64),
    /// By the sizes of its chunks.
    Chunked(Place),
    /// It is chunked, and sizes were not captured: by the mark at the end of a call, or the next head.
    Unmarked,
    /// By the end of the connection.
    UntilClose,
}

/// What some bytes were to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Bytes that belong to it.
    pub(super) used: u64,
    /// Bytes of content among them.
    pub(super) content: u64,
    /// It ended with them.
    pub(super) over: bool,
}

impl Step {
    const fn all(count: u64) -> Self {
        Self { used: count, content: count, over: false }
    }
}

impl Body {
    /// A body of a known length; `None` if there is nothing of it.
    pub(super) fn of_length(length: u64) -> Option<Self> {
        (length > 0).then_some(Self::Length(length))
    }

    pub(super) const CHUNKED: Self = Self::Chunked(Place::START);

    /// Goes on with bytes that were captured.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<Step, BadChunk> {
        let Self::Chunked(place) = self else { return Ok(self.unseen(bytes.len() as u64)) };
        let (used, content) = place.bytes(bytes)?;
        Ok(Step { used: used as u64, content, over: *place == Place::End })
    }

    /// Goes on with bytes that were not.
    pub(super) fn unseen(&mut self, count: u64) -> Step {
        match self {
            Self::Length(left) => {
                let used = count.min(*left);
                *left -= used;
                Step { used, content: used, over: *left == 0 }
            }
            Self::Chunked(place) => match place.unseen(count) {
                Some(content) => Step { used: count, content, over: false },
                None => {
                    *self = Self::Unmarked;
                    Step::all(count)
                }
            },
            Self::Unmarked | Self::UntilClose => Step::all(count),
        }
    }

    /// Whether it is known to end after so many more bytes.
    pub(super) fn is_left(&self, count: u64) -> bool {
        matches!(self, Self::Length(left) if *left == count)
    }

    /// Goes on behind bytes that were never told of, if that is certain: the end, with its time, must
    /// not be among them.
    pub(super) fn lost(&mut self, count: u64) -> bool {
        match self {
            Self::Length(left) if count < *left => *left -= count,
            Self::UntilClose => {}
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_may_be_as_long_as_a_number_can_be() {
        let mut body = Body::Length(u64::MAX);
        assert!(!body.unseen(u64::MAX - 1).over);
        assert_eq!(body.bytes(b"ab"), Ok(Step { used: 1, content: 1, over: true }));
    }

    #[test]
    fn lost_bytes_with_the_end_among_them_are_not_passed_over() {
        assert!(Body::Length(10).lost(9));
        assert!(!Body::Length(10).lost(10));
        let mut chunked = Body::CHUNKED;
        assert!(!chunked.lost(1));
        assert!(!Body::Unmarked.lost(1));
        assert!(Body::UntilClose.lost(1 << 40));
    }

    #[test]
    fn sizes_behind_what_was_captured_are_not_known_any_more() {
        let mut body = Body::CHUNKED;
        assert!(!body.bytes(b"400\r\nabc").expect("a size").over);
        assert_eq!(body.unseen(0x400 - 3 + 2 + 5), Step::all(0x400 + 4));
        assert_eq!(body, Body::Unmarked);
    }
}
