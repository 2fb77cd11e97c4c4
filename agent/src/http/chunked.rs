//! The chunked transfer coding, byte by byte where sizes stand and in one step over data.

/// Digits of a size; more than a `u64` has make no sense, whatever they are.
const MAX_DIGITS: u8 = 16;

/// A size that is no number, or data that does not end where its size says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadChunk;

/// Where in a chunked body the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the digits of a size.
    Size { value: u64, digits: u8 },
    /// Behind them, before the end of the line.
    Extension { value: u64 },
    /// At the LF of the size's line.
    SizeLf { value: u64 },
    /// In data, of which so much is left.
    Data { left: u64 },
    /// At the CR behind data.
    DataCr,
    /// At the LF behind data.
    DataLf,
    /// At the first byte of a trailer field, or of the empty line that ends the body.
    LineStart,
    /// In a trailer field.
    Line,
    /// At the LF of a trailer field.
    LineLf,
    /// At the last byte.
    LastLf,
    /// Behind it.
    End,
}

impl Place {
    pub(super) const START: Self = Self::Size { value: 0, digits: 0 };

    /// Goes over `bytes` to the end of the body. Returns how many belong to it, and how many of
    /// those are data.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(usize, u64), BadChunk> {
        let (mut used, mut data) = (0, 0);
        while *self != Self::End
            && let Some(byte) = bytes.get(used)
        {
            if let Self::Data { left } = self {
                let here = (bytes.len() - used) as u64;
                let step = here.min(*left);
                *left -= step;
                data += step;
                used += usize::try_from(step).expect("no more than the bytes here");
                if *left == 0 {
                    *self = Self::DataCr;
                }
                continue;
            }
            *self = self.after(*byte)?;
            used += 1;
        }
        Ok((used, data))
    }

    fn after(self, byte: u8) -> Result<Self, BadChunk> {
        Ok(match (self, byte) {
            (Self::Size { value, digits: 1.. }, b'\r') => Self::SizeLf { value },
            (Self::Size { value, digits: 1.. }, b';' | b' ' | b'\t') => Self::Extension { value },
            (Self::Size { value, digits }, _) if digits < MAX_DIGITS => {
                let digit = char::from(byte).to_digit(16).ok_or(BadChunk)?;
                Self::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Self::Extension { value }, b'\r') => Self::SizeLf { value },
            // A line that ends without CR ends elsewhere for other parsers.
            (Self::Extension { .. } | Self::LineStart | Self::Line, b'\n') => return Err(BadChunk),
            (Self::Extension { .. }, _) => self,
            (Self::SizeLf { value: 0 } | Self::LineLf, b'\n') => Self::LineStart,
            (Self::SizeLf { value }, b'\n') => Self::Data { left: value },
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::START,
            (Self::LineStart, b'\r') => Self::LastLf,
            (Self::Line, b'\r') => Self::LineLf,
            (Self::LineStart | Self::Line, _) => Self::Line,
            (Self::LastLf, b'\n') => Self::End,
            _ => return Err(BadChunk),
        })
    }

    /// Goes over bytes that nobody saw, if it is certain where that leads: data and the line end
    /// behind it have a known length. Returns how many of them are data.
    pub(super) fn unseen(&mut self, count: u64) -> Option<u64> {
        let (left, line_end) = match *self {
            Self::Data { left } => (left, 2),
            Self::DataCr => (0, 2),
            Self::DataLf => (0, 1),
            _ => return None,
        };
        let data = count.min(left);
        *self = match (count - data, line_end) {
            (0, 2) if data < left => Self::Data { left: left - data },
            (0, 2) => Self::DataCr,
            (1, 2) | (0, 1) => Self::DataLf,
            (2, 2) | (1, 1) => Self::START,
            _ => return None,
        };
        Some(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Result<(usize, u64), BadChunk> {
        let mut place = Place::START;
        let result = place.bytes(bytes)?;
        assert_eq!(place, Place::End, "{}", String::from_utf8_lossy(bytes));
        Ok(result)
    }

    #[test]
    fn a_body_ends_behind_its_last_chunk_and_its_trailers() {
        assert_eq!(whole(b"0\r\n\r\nGET"), Ok((5, 0)));
        assert_eq!(whole(b"5\r\nhello\r\n0\r\n\r\nHTTP"), Ok((15, 5)));
        assert_eq!(whole(b"00A;x=\"y\"\r\n0123456789\r\n0\r\nA: b\r\nC: d\r\n\r\n"), Ok((40, 10)));
        assert_eq!(whole(b"5 \r\n0\r\n\r\n\r\n000\r\n\r\n"), Ok((18, 5)));
    }

    #[test]
    fn it_does_not_matter_where_a_body_is_cut() {
        let body = b"4\r\n0\r\n\r\r\n1a;q\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nT: x\r\n\r\n";
        let mut place = Place::START;
        let mut sum = 0;
        for byte in body {
            sum += place.bytes(&[*byte]).expect("a good body").1;
        }
        assert_eq!((place, sum), (Place::End, 30));
    }

    #[test]
    fn sizes_that_parsers_read_differently_are_refused() {
        for body in [
            &b"\r\n"[..],
            b"x\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b"1\nx\r\n",
            b"1;a\nx\r\n",
            b"1\r\nxy\r\n",
            b"1\r\nx\n0\r\n",
            b"00000000000000001\r\n",
            b"0\r\n\n",
            b"0\r\n\rx",
        ] {
            let mut place = Place::START;
            assert_eq!(place.bytes(body), Err(BadChunk), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn the_largest_size_is_no_overflow() {
        let mut place = Place::START;
        assert_eq!(place.bytes(b"ffffffffffffffff\r\nabc"), Ok((21, 3)));
        assert_eq!(place, Place::Data { left: u64::MAX - 3 });
        assert_eq!(place.unseen(u64::MAX), None);
    }

    #[test]
    fn unseen_bytes_are_passed_where_they_can_only_be_data_and_its_line_end() {
        let after = |place: Place, count| {
            let mut place = place;
            place.unseen(count).map(|data| (place, data))
        };
        let data = Place::Data { left: 10 };
        assert_eq!(after(data, 4), Some((Place::Data { left: 6 }, 4)));
        assert_eq!(after(data, 10), Some((Place::DataCr, 10)));
        assert_eq!(after(data, 11), Some((Place::DataLf, 10)));
        assert_eq!(after(data, 12), Some((Place::START, 10)));
        assert_eq!(after(data, 13), None);
        assert_eq!(after(Place::DataCr, 1), Some((Place::DataLf, 0)));
        assert_eq!(after(Place::DataCr, 2), Some((Place::START, 0)));
        assert_eq!(after(Place::DataLf, 1), Some((Place::START, 0)));
        assert_eq!(after(Place::DataLf, 2), None);
        assert_eq!(after(Place::START, 1), None);
    }
}
