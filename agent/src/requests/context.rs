//! What a request's head says of the trace that it belongs to: W3C's `traceparent`, or Zipkin's `b3`.

use opentelemetry::trace::{SpanId, TraceId};

use crate::http::Request;

/// The trace that whoever sent a request has put it into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Context {
    /// The trace, and the span that the request belongs to.
    pub(super) ids: Option<(TraceId, SpanId)>,
    /// Whether that trace is recorded, as far as the sender says.
    pub(super) sampled: Option<bool>,
}

impl Context {
    /// Of a request; W3C's field goes first.
    pub(super) fn of(request: &Request) -> Self {
        let w3c = request.trace_parent().and_then(trace_parent);
        w3c.or_else(|| b3(&request.b3()?)).unwrap_or_default()
    }
}

/// <https://www.w3.org/TR/trace-context/>, section 3.2: a version that is not known yet is read as the
/// first one, and may go on behind it.
fn trace_parent(text: &str) -> Option<Context> {
    let mut parts = text.splitn(5, '-');
    let version = hex(parts.next()?, 2)?;
    let ids = ids(hex(parts.next()?, 32)?, hex(parts.next()?, 16)?)?;
    let flags = u8::from_str_radix(hex(parts.next()?, 2)?, 16).ok()?;
    let ends = parts.next().is_none();
    let known = version != "ff" && (version != "00" || ends);
    known.then_some(Context { ids: Some(ids), sampled: Some(flags & 1 == 1) })
}

/// <https://github.com/openzipkin/b3-propagation>: `TRACE-SPAN`, `TRACE-SPAN-STATE`,
/// `TRACE-SPAN-STATE-PARENT`, or the state alone.
fn b3(text: &str) -> Option<Context> {
    let state = |text: &str| match text {
        "0" => Some(false),
        "1" | "d" => Some(true),
        _ => None,
    };
    let Some((trace, rest)) = text.split_once('-') else {
        return Some(Context { ids: None, sampled: Some(state(text)?) });
    };
    let mut rest = rest.split('-');
    let trace = if trace.len() == 16 { format!("{trace:0>32}") } else { trace.to_owned() };
    let trace = trace.to_ascii_lowercase();
    let span = rest.next()?.to_ascii_lowercase();
    let ids = ids(hex(&trace, 32)?, hex(&span, 16)?)?;
    Some(Context { ids: Some(ids), sampled: rest.next().and_then(state) })
}

/// Neither may be zero.
fn ids(trace: &str, span: &str) -> Option<(TraceId, SpanId)> {
    let ids = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    (ids.0 != TraceId::INVALID && ids.1 != SpanId::INVALID).then_some(ids)
}

/// So many digits, written as the standard asks: in small letters.
fn hex(text: &str, digits: usize) -> Option<&str> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(is_digit)).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn parsed(context: Option<Context>) -> Option<(String, String, Option<bool>)> {
        let Context { ids, sampled } = context?;
        let (trace, span) = ids?;
        Some((trace.to_string(), span.to_string(), sampled))
    }

    #[test]
    fn what_the_standard_allows_is_a_parent() {
        let expected = |sampled| Some((TRACE.to_owned(), SPAN.to_owned(), Some(sampled)));
        for (text, sampled) in [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            (format!("00-{TRACE}-{SPAN}-00"), false),
            (format!("00-{TRACE}-{SPAN}-ff"), true),
            (format!("cc-{TRACE}-{SPAN}-01-what-comes-later"), true),
        ] {
            assert_eq!(parsed(trace_parent(&text)), expected(sampled), "{text}");
        }
    }

    #[test]
    fn what_it_forbids_is_none() {
        let zeros = "0".repeat(32);
        for text in [
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("0-{TRACE}-{SPAN}-01"),
            String::new(),
        ] {
            assert_eq!(trace_parent(&text), None, "{text}");
        }
    }

    #[test]
    fn zipkin_s_forms_are_read() {
        let expected = |sampled| Some((TRACE.to_owned(), SPAN.to_owned(), sampled));
        assert_eq!(parsed(b3(&format!("{TRACE}-{SPAN}"))), expected(None));
        assert_eq!(parsed(b3(&format!("{TRACE}-{SPAN}-d-{SPAN}"))), expected(Some(true)));
        assert_eq!(parsed(b3(&format!("{TRACE}-{SPAN}-0"))), expected(Some(false)));
        let short = parsed(b3(&format!("{}-{SPAN}-1", &TRACE[16..])));
        assert_eq!(short.map(|short| short.0), Some(format!("{:0>32}", &TRACE[16..])));
        assert_eq!(b3("0"), Some(Context { ids: None, sampled: Some(false) }));
        assert_eq!((b3("x"), b3("-"), b3(&format!("{TRACE}-"))), (None, None, None));
    }

    proptest! {
        #[test]
        fn no_text_does_harm(text in "\\PC{0,80}") {
            let _ = (trace_parent(&text), b3(&text));
        }
    }
}
