//! `multipart/form-data` of a whole body in memory: a few parts, found without copying.

use super::error::IngestError;

const MAX_PARTS: usize = 16;

/// One part.
pub(super) struct Part<'a> {
    pub(super) name: String,
    pub(super) body: &'a [u8],
}

/// The boundary of a content type; `None` if it is not `multipart/form-data`.
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then(|| value.trim_matches('"'))
    })
}

/// Splits a body into its parts.
pub(super) fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<Part<'a>>, IngestError> {
    let malformed = |why: &str| IngestError::malformed("multipart body", why);
    if boundary.is_empty() || boundary.len() > 70 {
        return Err(malformed("the boundary is not 1 to 70 characters long"));
    }
    let opening = format!("--{boundary}");
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = match body.strip_prefix(opening.as_bytes()) {
        Some(rest) => rest,
        // Text before the first boundary is allowed and means nothing.
        None => split(body, delimiter.as_bytes()).ok_or_else(|| malformed("no boundary"))?.1,
    };
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        if parts.len() == MAX_PARTS {
            return Err(IngestError::TooMany { what: "parts", limit: MAX_PARTS });
        }
        let (_, after) = split(rest, b"\r\n").ok_or_else(|| malformed("cut off"))?;
        let (part, next) =
            split(after, delimiter.as_bytes()).ok_or_else(|| malformed("no closing boundary"))?;
        parts.push(parse_part(part)?);
        rest = next;
    }
    Ok(parts)
}

fn parse_part(part: &[u8]) -> Result<Part<'_>, IngestError> {
    let malformed = |why: &str| IngestError::malformed("multipart body", why);
    let (headers, body) =
        split(part, b"\r\n\r\n").ok_or_else(|| malformed("a part without headers"))?;
    let headers = String::from_utf8_lossy(headers);
    let disposition = headers
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))
        .ok_or_else(|| malformed("a part without a content-disposition"))?
        .1;
    let name = disposition
        .split(';')
        .filter_map(|parameter| parameter.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("name"))
        .ok_or_else(|| malformed("a part without a name"))?
        .1;
    Ok(Part { name: name.trim_matches('"').to_owned(), body })
}

/// `bytes` before and after the first `mark`.
fn split<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memchr::memmem::find(bytes, mark)?;
    Some((&bytes[..at], &bytes[at + mark.len()..]))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test data is known")]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_name_and_keep_their_bytes() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"profile\"; filename=\"p\"\r\n\
            Content-Type: application/octet-stream\r\n\r\n\x1f\x8b\r\n\r\n--y\r\n--x\r\n\
            content-disposition: form-data; name=labels\r\n\r\n\r\n--x--\r\n";
        let parts = parts(body, "x").unwrap();
        assert_eq!(
            (parts[0].name.as_str(), parts[0].body),
            ("profile", &b"\x1f\x8b\r\n\r\n--y"[..])
        );
        assert_eq!((parts[1].name.as_str(), parts[1].body), ("labels", &b""[..]));
    }

    #[test]
    fn bodies_that_are_cut_off_are_refused() {
        for body in ["", "--x", "--x\r\n", "--x\r\nA: b\r\n\r\nc", "--x\r\n\r\n--x--"] {
            assert!(parts(body.as_bytes(), "x").is_err(), "{body:?}");
        }
    }

    #[test]
    fn the_boundary_may_be_quoted() {
        assert_eq!(boundary("Multipart/form-data; charset=x; boundary=\"a b\""), Some("a b"));
        assert_eq!(boundary("text/plain; boundary=a"), None);
    }
}
