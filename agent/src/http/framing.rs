//! Which body follows a head: RFC 9112, section 6.3, except that what could be read in two ways is
//! refused instead of read in one.

use super::body::Body;
use super::counts::GiveUp;

/// What a head's fields say of its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Framing {
    length: Option<u64>,
    coding: Option<Coding>,
    /// The first thing that was wrong.
    refused: Option<GiveUp>,
}

/// The last transfer coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Chunked,
    Other,
}

/// What of a request decides whether its response has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Head,
    Connect,
    Other,
}

impl Asked {
    pub(super) fn of(method: &[u8]) -> Self {
        match method {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// What follows a final response's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    Nothing,
    Body(Body),
    /// Bytes that are no HTTP any more.
    Tunnel,
}

impl From<Option<Body>> for Follows {
    fn from(body: Option<Body>) -> Self {
        body.map_or(Self::Nothing, Self::Body)
    }
}

impl Framing {
    /// The length that the head states.
    pub(super) const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Takes a `Content-Length` in: one number, or the same one several times.
    pub(super) fn add_length(&mut self, value: &[u8]) {
        for one in value.split(|byte| *byte == b',') {
            match (number(one.trim_ascii()), self.length) {
                (None, _) => self.refuse(GiveUp::BadLength),
                (Some(length), Some(before)) if length != before => {
                    self.refuse(GiveUp::TwoLengths);
                }
                (length, _) => self.length = length,
            }
        }
    }

    /// Takes a `Transfer-Encoding` in: `chunked` counts if it comes once, and last.
    pub(super) fn add_coding(&mut self, value: &[u8]) {
        for one in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let chunked = one.eq_ignore_ascii_case(b"chunked");
            self.coding = Some(match self.coding {
                Some(Coding::Chunked) => {
                    self.refuse(GiveUp::UnknownCoding);
                    Coding::Other
                }
                _ if chunked => Coding::Chunked,
                _ => Coding::Other,
            });
        }
    }

    fn refuse(&mut self, reason: GiveUp) {
        self.refused.get_or_insert(reason);
    }

    fn check(&self) -> Result<(), GiveUp> {
        let both = self.length.is_some() && self.coding.is_some();
        self.refused.or(both.then_some(GiveUp::LengthAndCoding)).map_or(Ok(()), Err)
    }

    /// The body of a request.
    pub(super) fn request(&self) -> Result<Option<Body>, GiveUp> {
        self.check()?;
        match self.coding {
            Some(Coding::Chunked) => Ok(Some(Body::CHUNKED)),
            Some(Coding::Other) => Err(GiveUp::UnknownCoding),
            None => Ok(Body::of_length(self.length.unwrap_or(0))),
        }
    }

    /// What follows the head of a final response.
    pub(super) fn response(&self, status: u16, asked: Asked) -> Result<Follows, GiveUp> {
        match (status, asked) {
            (101, _) | (200..=299, Asked::Connect) => return Ok(Follows::Tunnel),
            (204 | 304, _) | (_, Asked::Head) => return Ok(Follows::Nothing),
            _ => self.check()?,
        }
        Ok(match (self.coding, self.length) {
            (Some(Coding::Chunked), _) => Follows::Body(Body::CHUNKED),
            (None, Some(length)) => Body::of_length(length).into(),
            (Some(Coding::Other), _) | (None, None) => Follows::Body(Body::UntilClose),
        })
    }
}

/// Digits and nothing else: `parse` would take a sign.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit).then_some(text)?;
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(lengths: &[&str], codings: &[&str]) -> Framing {
        let mut framing = Framing::default();
        lengths.iter().for_each(|value| framing.add_length(value.as_bytes()));
        codings.iter().for_each(|value| framing.add_coding(value.as_bytes()));
        framing
    }

    #[test]
    fn a_request_without_length_and_coding_has_no_body() {
        assert_eq!(framing(&[], &[]).request(), Ok(None));
        assert_eq!(framing(&["0"], &[]).request(), Ok(None));
        assert_eq!(framing(&["12"], &[]).request(), Ok(Some(Body::Length(12))));
        assert_eq!(framing(&["12", " 12 , 12"], &[]).request(), Ok(Some(Body::Length(12))));
        assert_eq!(framing(&[], &["gzip, Chunked"]).request(), Ok(Some(Body::CHUNKED)));
    }

    #[test]
    fn what_parsers_read_in_two_ways_is_refused() {
        let request = |lengths: &[&str], codings: &[&str]| framing(lengths, codings).request();
        assert_eq!(request(&["1", "2"], &[]), Err(GiveUp::TwoLengths));
        assert_eq!(request(&["1, 2"], &[]), Err(GiveUp::TwoLengths));
        assert_eq!(request(&["1"], &["chunked"]), Err(GiveUp::LengthAndCoding));
        assert_eq!(request(&[], &["chunked, gzip"]), Err(GiveUp::UnknownCoding));
        assert_eq!(request(&[], &["chunked", "chunked"]), Err(GiveUp::UnknownCoding));
        assert_eq!(request(&[], &["xchunked"]), Err(GiveUp::UnknownCoding));
        for length in ["", "+1", "-1", "0x1", "1 2", "1;", "18446744073709551616"] {
            assert_eq!(request(&[length], &[]), Err(GiveUp::BadLength), "{length}");
        }
        let response = framing(&["1"], &["chunked"]).response(200, Asked::Other);
        assert_eq!(response, Err(GiveUp::LengthAndCoding));
    }

    #[test]
    fn what_follows_a_response_depends_on_the_status_and_on_what_was_asked() {
        let length = framing(&["5"], &[]);
        assert_eq!(length.response(200, Asked::Other), Ok(Follows::Body(Body::Length(5))));
        assert_eq!(length.response(200, Asked::Head), Ok(Follows::Nothing));
        assert_eq!(length.response(304, Asked::Other), Ok(Follows::Nothing));
        assert_eq!(length.response(204, Asked::Other), Ok(Follows::Nothing));
        assert_eq!(length.response(200, Asked::Connect), Ok(Follows::Tunnel));
        assert_eq!(length.response(403, Asked::Connect), Ok(Follows::Body(Body::Length(5))));
        assert_eq!(framing(&[], &[]).response(101, Asked::Other), Ok(Follows::Tunnel));
        let until_close = Ok(Follows::Body(Body::UntilClose));
        assert_eq!(framing(&[], &[]).response(200, Asked::Other), until_close);
        assert_eq!(framing(&[], &["gzip"]).response(200, Asked::Other), until_close);
    }
}
