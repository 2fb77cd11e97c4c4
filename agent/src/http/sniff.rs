//! What a stream's first bytes may be the beginning of. Cheap: most sockets are not HTTP.

use super::GiveUp;

/// No method is longer.
const MAX_METHOD: usize = 24;
const METHODS: [&[u8]; 10] = [
    b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT", b"TRACE",
    b"QUERY",
];

/// What bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// A request: its line is whole and right, or as far as it goes, with a well-known method.
    Request,
    /// A status line.
    Response,
    /// Too few bytes to tell.
    Undecided,
    /// Something else.
    Other(GiveUp),
}

/// Tells what `bytes` begin with.
pub(super) fn sniff(bytes: &[u8]) -> Beginning {
    let bytes = without_empty_lines(bytes);
    match bytes.first() {
        None => Beginning::Undecided,
        // The record type of a handshake.
        Some(0x16) => Beginning::Other(GiveUp::Tls),
        Some(_) => status_line(bytes).unwrap_or_else(|| request_line(bytes)),
    }
}

/// Empty lines before a message are allowed, and mean nothing.
pub(super) fn without_empty_lines(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    &bytes[start.unwrap_or(bytes.len())..]
}

/// Whether the request that `bytes` begin with has a method that is no end of another one.
pub(super) fn has_known_method(bytes: &[u8]) -> bool {
    let bytes = without_empty_lines(bytes);
    METHODS
        .iter()
        .any(|method| bytes.strip_prefix(*method).is_some_and(|rest| rest.starts_with(b" ")))
}

/// Whether `bytes`, of which there are too few to tell, are the beginning of a well-known method.
pub(super) fn begins_method(bytes: &[u8]) -> bool {
    let bytes = without_empty_lines(bytes);
    !bytes.is_empty() && METHODS.iter().any(|method| method.starts_with(bytes.trim_ascii_end()))
}

/// `HTTP/1.x NNN`; `None` for what is none.
fn status_line(bytes: &[u8]) -> Option<Beginning> {
    const SHAPE: &[u8; 12] = b"HTTP/1.# ###";
    let fits = |(byte, shape): (&u8, &u8)| match shape {
        b'#' => byte.is_ascii_digit(),
        _ => byte == shape,
    };
    // "H" may still become HEAD.
    let enough = bytes.len() >= 2;
    if !enough || !bytes.iter().zip(SHAPE).all(fits) {
        return None;
    }
    Some(if bytes.len() < SHAPE.len() { Beginning::Undecided } else { Beginning::Response })
}

fn request_line(bytes: &[u8]) -> Beginning {
    const OTHER: Beginning = Beginning::Other(GiveUp::NotHttp);
    let Some(length) = bytes.iter().take(MAX_METHOD + 1).position(|byte| !is_token(*byte)) else {
        return if bytes.len() <= MAX_METHOD { Beginning::Undecided } else { OTHER };
    };
    let (method, rest) = bytes.split_at(length);
    let Some(target) = rest.strip_prefix(b" ").filter(|_| !method.is_empty()) else { return OTHER };
    let end = memchr::memchr(b'\n', target);
    let line = &target[..end.unwrap_or(target.len())];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.iter().any(|byte| *byte < b' ' || *byte == 0x7f) {
        return OTHER;
    }
    match (end, line) {
        (Some(_), b"* HTTP/2.0") if method == b"PRI" => Beginning::Other(GiveUp::Http2),
        (Some(_), [_, .., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1']) => {
            Beginning::Request
        }
        (Some(_), _) => OTHER,
        (None, [_, ..]) if METHODS.contains(&method) => Beginning::Request,
        (None, _) => Beginning::Undecided,
    }
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Beginning) {
        assert_eq!(sniff(bytes), expected, "{}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn requests_and_responses_are_told_apart_from_their_first_lines() {
        check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Beginning::Request);
        check(b"\r\n\r\nGET /a?b=c HTTP/1.0\n", Beginning::Request);
        check(b"M-SEARCH * HTTP/1.1\r\n", Beginning::Request);
        check(b"POST /a/very/long/pa", Beginning::Request);
        check(b"HTTP/1.1 200 OK\r\n", Beginning::Response);
        check(b"HTTP/1.0 404", Beginning::Response);
    }

    #[test]
    fn too_few_bytes_do_not_decide() {
        for bytes in [&b""[..], b"\r\n", b"G", b"H", b"HT", b"HTTP/1.1 20", b"PURGE /x", b"PRI * H"]
        {
            check(bytes, Beginning::Undecided);
        }
    }

    #[test]
    fn other_protocols_are_known_from_their_first_bytes() {
        let not = Beginning::Other(GiveUp::NotHttp);
        check(b"\x16\x03\x01\x02\x00\x01", Beginning::Other(GiveUp::Tls));
        check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Beginning::Other(GiveUp::Http2));
        check(b"*1\r\n$4\r\nPING\r\n", not);
        check(b"get some_key\r\n", not);
        check(b"220 mail.example.org ESMTP\r\n", not);
        check(b"SSH-2.0-OpenSSH_9.2\r\n", not);
        check(b"\x00\x00\x00\x08\x04\xd2\x16\x2f", not);
        check(b"GET /\x00\x01", not);
        check(b"Averyverylongwordindeedthatisnomethod", not);
        check(b"GET / HTTP/1.1 \x01\r\n", not);
        check(b"HTTP/2 200\r\n", not);
    }
}
