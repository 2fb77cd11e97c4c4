//! Bytes to heads: request and status lines, and the few fields that matter.

use httparse::{Error, Header, ParserConfig, Status};

use super::facts::{Facts, Field, Fields};
use super::framing::{Asked, Framing};

/// Fields of one head; servers allow about a hundred.
const MAX_FIELDS: usize = 128;

/// What bytes are to a parser.
pub(super) enum Parsed<T> {
    /// A whole head, of so many bytes.
    Message { message: T, used: usize },
    /// Nothing wrong, but the head does not end here yet.
    Incomplete,
    /// No head.
    Malformed,
}

/// What a request's head says.
pub(super) struct RequestHead {
    pub(super) facts: Facts,
    pub(super) asked: Asked,
    pub(super) expects: bool,
    pub(super) minor_version: u8,
    pub(super) framing: Framing,
}

/// What a response's head says.
pub(super) struct ResponseHead {
    pub(super) status: u16,
    pub(super) minor_version: u8,
    pub(super) framing: Framing,
}

/// Parses the request that `bytes` begin with.
pub(super) fn request(bytes: &[u8]) -> Parsed<RequestHead> {
    match parse_request(bytes) {
        Ok(Status::Complete((message, used))) => Parsed::Message { message, used },
        Ok(Status::Partial) => Parsed::Incomplete,
        Err(_) if is_folded(bytes) => folded_request(bytes),
        Err(_) => Parsed::Malformed,
    }
}

/// Parses the response that `bytes` begin with.
pub(super) fn response(bytes: &[u8]) -> Parsed<ResponseHead> {
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default()
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .parse_response_with_uninit_headers(&mut response, bytes, &mut fields);
    match parsed {
        Ok(Status::Complete(used)) => {
            let mut framing = Framing::default();
            for field in response.headers.iter() {
                framing_field(&mut framing, field);
            }
            let status = response.code.unwrap_or(0);
            let minor_version = response.version.unwrap_or(0);
            Parsed::Message { message: ResponseHead { status, minor_version, framing }, used }
        }
        Ok(Status::Partial) => Parsed::Incomplete,
        Err(_) => Parsed::Malformed,
    }
}

/// Whether a head's last line ends in `bytes`, of which those before `from` were looked at before.
pub(super) fn has_end(bytes: &[u8], from: usize) -> bool {
    end(bytes, from).is_some()
}

/// The place behind the empty line that ends a head.
fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let from = from.saturating_sub(2);
    let line_ends = memchr::memchr_iter(b'\n', &bytes[from..]).map(|at| from + at + 1);
    line_ends.into_iter().find_map(|behind| match &bytes[behind..] {
        [b'\n', ..] => Some(behind + 1),
        [b'\r', b'\n', ..] => Some(behind + 2),
        _ => None,
    })
}

type Request = (RequestHead, usize);

fn parse_request(bytes: &[u8]) -> Result<Status<Request>, Error> {
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let Status::Complete(used) = request.parse_with_uninit_headers(bytes, &mut fields)? else {
        return Ok(Status::Partial);
    };
    let method = request.method.unwrap_or_default().as_bytes();
    let target = request.path.unwrap_or_default().as_bytes();
    let asked = Asked::of(method);
    let mut kept = Fields::default();
    kept.set(Field::Method, method);
    keep_target(&mut kept, target, asked);
    let (mut framing, mut expects) = (Framing::default(), false);
    for field in request.headers.iter() {
        if !framing_field(&mut framing, field) {
            expects |= keep_field(&mut kept, field);
        }
    }
    let minor_version = request.version.unwrap_or(0);
    let head = RequestHead { facts: kept.pack(), asked, expects, minor_version, framing };
    Ok(Status::Complete((head, used)))
}

/// Whether a line begins with white space: the last field goes on there, which was allowed once.
fn is_folded(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| matches!(pair, b"\n " | b"\n\t"))
}

/// A head with such lines is parsed as if they were one.
fn folded_request(bytes: &[u8]) -> Parsed<RequestHead> {
    let Some(used) = end(bytes, 0) else { return Parsed::Incomplete };
    let mut head = bytes[..used].to_vec();
    for at in 0..head.len().saturating_sub(1) {
        if head[at] == b'\n' && matches!(head[at + 1], b' ' | b'\t') {
            head[at] = b' ';
            if at > 0 && head[at - 1] == b'\r' {
                head[at - 1] = b' ';
            }
        }
    }
    match parse_request(&head) {
        Ok(Status::Complete((message, length))) if length == used => {
            Parsed::Message { message, used }
        }
        _ => Parsed::Malformed,
    }
}

/// Says whether the field was about the body.
fn framing_field(framing: &mut Framing, field: &Header<'_>) -> bool {
    let is = |name: &str| field.name.eq_ignore_ascii_case(name);
    match field.name.len() {
        14 if is("content-length") => framing.add_length(field.value),
        17 if is("transfer-encoding") => framing.add_coding(field.value),
        _ => return false,
    }
    true
}

/// Says whether the field asks for `100 Continue`.
fn keep_field<'a>(kept: &mut Fields<'a>, field: &Header<'a>) -> bool {
    let is = |name: &str| field.name.eq_ignore_ascii_case(name);
    let kind = match field.name.len() {
        2 if is("b3") => Field::B3,
        4 if is("host") => Field::Host,
        6 if is("expect") => return field.value.eq_ignore_ascii_case(b"100-continue"),
        10 if is("user-agent") => Field::UserAgent,
        10 if is("tracestate") => Field::TraceState,
        10 if is("x-b3-flags") => Field::B3Flags,
        11 if is("traceparent") => Field::TraceParent,
        11 if is("x-b3-spanid") => Field::B3SpanId,
        12 if is("x-b3-traceid") => Field::B3TraceId,
        12 if is("x-b3-sampled") => Field::B3Sampled,
        _ => return false,
    };
    let value = field.value.trim_ascii();
    kept.set(kind, if matches!(kind, Field::Host) { without_user(value) } else { value });
    false
}

fn keep_target<'a>(kept: &mut Fields<'a>, target: &'a [u8], asked: Asked) {
    if asked == Asked::Connect {
        kept.set(Field::Host, without_user(target));
        return;
    }
    let target = before(target, b'#').0;
    let (target, query) = before(target, b'?');
    kept.set(Field::Query, query);
    let scheme = memchr::memmem::find(target, b"://").filter(|_| !target.starts_with(b"/"));
    let Some(scheme) = scheme else {
        kept.set(Field::Path, target);
        return;
    };
    let rest = &target[scheme + 3..];
    let path = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    kept.set(Field::Host, without_user(&rest[..path]));
    kept.set(Field::Path, if path < rest.len() { &rest[path..] } else { b"/" });
}

/// Name and password may stand before a host.
fn without_user(host: &[u8]) -> &[u8] {
    &host[memchr::memrchr(b'@', host).map_or(0, |at| at + 1)..]
}

/// What is before and behind the first `separator`.
fn before(text: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let at = memchr::memchr(separator, text).unwrap_or(text.len());
    (&text[..at], text.get(at + 1..).unwrap_or_default())
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
