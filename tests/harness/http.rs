//! A minimal HTTP/1.1 client over a socket, so that a test sees and sends exactly the bytes it means.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code; 0 when the server closed without a word.
    pub status: u16,
    /// Everything before the empty line.
    pub head: String,
    /// The body, not decoded.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When the status is not 200, or the body is not JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        anyhow::ensure!(self.status == 200, "status {}: {}", self.status, self.text());
        serde_json::from_slice(&self.body).context("read JSON")
    }
}

/// GET.
///
/// # Errors
/// When nobody listens or the answer is not HTTP.
pub fn get(port: u16, path: &str) -> Result<Answer> {
    request(port, "GET", path, &[], &[])
}

/// POST of `body`.
///
/// # Errors
/// As [`get`].
pub fn post(port: u16, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
    request(port, "POST", path, headers, body)
}

fn request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).context("connect")?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_write_timeout(Some(Duration::from_secs(60)))?;
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Content-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).context("send the head")?;
    // A server may refuse a body before it has it all: its answer counts, not our broken pipe.
    let sent = stream.write_all(body);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    if answer.is_empty() {
        sent.context("send the body")?;
        read.context("read the answer")?;
    }
    parse(&answer)
}

fn parse(bytes: &[u8]) -> Result<Answer> {
    let end =
        bytes.windows(4).position(|four| four == b"\r\n\r\n").context("no end of the head")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let body = &bytes[end + 4..];
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunked(body)? } else { body.to_vec() };
    Ok(Answer { status, head, body })
}

fn unchunked(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").context("a cut chunk")?;
        let size = std::str::from_utf8(&rest[..end]).context("a chunk's size")?;
        let size = usize::from_str_radix(size.trim(), 16).context("a chunk's size")?;
        if size == 0 {
            return Ok(body);
        }
        let stop = (end + 2).checked_add(size).context("an absurd chunk size")?;
        let chunk = rest.get(end + 2..stop).context("a cut chunk")?;
        body.extend_from_slice(chunk);
        rest = rest.get(stop + 2..).context("a cut chunk")?;
    }
}

/// `text` as a query parameter's value.
#[must_use]
pub fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let hex = |byte: u8| format!("%{byte:02X}");
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { hex(b) }).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_is_put_together() {
        let bytes =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        let answer = parse(bytes).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "abcd"));
    }

    #[test]
    fn a_cut_chunk_is_an_error() {
        assert!(unchunked(b"5\r\nab").is_err());
        assert!(unchunked(b"ffffffffffffffff\r\nab").is_err());
    }

    #[test]
    fn a_selector_is_escaped() {
        assert_eq!(escaped("{a=\"b c\"}"), "%7Ba%3D%22b%20c%22%7D");
    }
}
