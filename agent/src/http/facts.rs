//! What is kept of a request's head: the fields named here and no others, each up to a length, in one
//! piece of memory. Credentials are not among them.

use std::borrow::Cow;
use std::fmt;

use super::exchange::Transfer;
use super::framing::Asked;

/// A part of a head that is kept.
#[derive(Clone, Copy)]
pub(super) enum Field {
    Method,
    Path,
    Query,
    Host,
    UserAgent,
    TraceParent,
    TraceState,
    B3,
    B3TraceId,
    B3SpanId,
    B3Sampled,
    B3Flags,
}

const FIELDS: usize = 12;
/// Longer values are cut; three times their sum still fits into the ends' `u16`.
const MAX_BYTES: [usize; FIELDS] = [32, 1024, 512, 255, 255, 64, 512, 80, 32, 16, 8, 8];

/// The parts as they stand in the head.
#[derive(Default)]
pub(super) struct Fields<'a> {
    parts: [&'a [u8]; FIELDS],
    /// More than one `traceparent`: then none holds.
    two_parents: bool,
}

impl<'a> Fields<'a> {
    /// The first of several with the same name is the one that is kept.
    pub(super) fn set(&mut self, field: Field, value: &'a [u8]) {
        let part = &mut self.parts[field as usize];
        if part.is_empty() {
            *part = value;
        } else if matches!(field, Field::TraceParent) {
            self.two_parents = true;
        }
    }

    /// As text. Bytes that are none, and a character that was cut, become U+FFFD.
    pub(super) fn pack(mut self) -> Facts {
        if self.two_parents {
            self.parts[Field::TraceParent as usize] = &[];
        }
        let cut = |(part, max): (&'a [u8], usize)| &part[..part.len().min(max)];
        let mut parts = self.parts.into_iter().zip(MAX_BYTES).map(cut);
        let mut text = String::with_capacity(parts.clone().map(<[u8]>::len).sum());
        let ends = std::array::from_fn(|_| {
            match parts.next().map(String::from_utf8_lossy) {
                Some(Cow::Borrowed(part)) => text.push_str(part),
                Some(Cow::Owned(part)) => text.push_str(&part),
                None => {}
            }
            u16::try_from(text.len()).expect("bounded above")
        });
        Facts { text: text.into_boxed_str(), ends }
    }
}

/// The parts, one behind the other.
#[derive(Clone)]
pub(super) struct Facts {
    text: Box<str>,
    ends: [u16; FIELDS],
}

impl Facts {
    fn get(&self, field: Field) -> &str {
        let number = field as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.text[usize::from(start)..usize::from(self.ends[number])]
    }

    fn given(&self, field: Field) -> Option<&str> {
        Some(self.get(field)).filter(|value| !value.is_empty())
    }
}

/// What was asked for.
#[derive(Clone)]
pub struct Request {
    pub(super) facts: Facts,
    pub(super) asked: Asked,
    /// It waits for `100 Continue` before its body.
    pub(super) expects: bool,
    /// How many requests of its connection were read before it.
    pub number: u64,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    /// What it says its body's length is.
    pub content_length: Option<u64>,
    /// How it moved.
    pub transfer: Transfer,
}

impl Request {
    /// The method as it was written, whether known or not.
    #[must_use]
    pub fn method(&self) -> &str {
        self.facts.get(Field::Method)
    }

    /// The target without scheme, host, query and fragment; empty for CONNECT.
    #[must_use]
    pub fn path(&self) -> &str {
        self.facts.get(Field::Path)
    }

    /// The query, without the question mark. Not for export unless somebody asked for it.
    #[must_use]
    pub fn secret_query(&self) -> Option<&str> {
        self.facts.given(Field::Query)
    }

    /// Host and port: of the target if it is absolute, else of the `Host` field.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.facts.given(Field::Host)
    }

    /// Who says to ask.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.facts.given(Field::UserAgent)
    }

    /// `traceparent` as it was written; none if it came twice.
    #[must_use]
    pub fn trace_parent(&self) -> Option<&str> {
        self.facts.given(Field::TraceParent)
    }

    /// `tracestate` as it was written; the first one.
    #[must_use]
    pub fn trace_state(&self) -> Option<&str> {
        self.facts.given(Field::TraceState)
    }

    /// The context of Zipkin in the form of its single field, also if it came in several.
    #[must_use]
    pub fn b3(&self) -> Option<Cow<'_, str>> {
        if let Some(single) = self.facts.given(Field::B3) {
            return Some(single.into());
        }
        let state = match (self.facts.get(Field::B3Flags), self.facts.given(Field::B3Sampled)) {
            ("1", _) => Some("d"),
            (_, Some("true")) => Some("1"),
            (_, Some("false")) => Some("0"),
            (_, sampled) => sampled,
        };
        let ids = self.facts.given(Field::B3TraceId).zip(self.facts.given(Field::B3SpanId));
        match (ids, state) {
            (Some((trace, span)), Some(state)) => Some(format!("{trace}-{span}-{state}").into()),
            (Some((trace, span)), None) => Some(format!("{trace}-{span}").into()),
            (None, state) => state.map(Into::into),
        }
    }

    pub(super) fn text_bytes(&self) -> usize {
        self.facts.text.len()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Request")
            .field("method", &self.method())
            .field("path", &self.path())
            .field("host", &self.host())
            .field("minor_version", &self.minor_version)
            .field("content_length", &self.content_length)
            .field("transfer", &self.transfer)
            .finish_non_exhaustive()
    }
}
