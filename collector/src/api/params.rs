//! Query strings to checked questions.

use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{FromRequestParts, RawQuery};
use axum::http::request::Parts;

use super::error::ApiError;
use crate::profile::ProfileType;
use crate::query::{NodeId, Pattern, TimeRange, parse_selector, parse_type};
use crate::store::{Matcher, Select, Snapshot, Test};

const DEFAULT_TYPE: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

/// The parameters of one request; of a name that is given twice the last counts.
pub(super) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let RawQuery(query) =
            RawQuery::from_request_parts(parts, state).await.unwrap_or_else(|never| match never {});
        parse(query.as_deref().unwrap_or("")).map(Self)
    }
}

fn parse(query: &str) -> Result<Vec<(String, String)>, ApiError> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// Undoes `application/x-www-form-urlencoded`.
fn decode(text: &str) -> Result<String, ApiError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next()), digit(bytes.next()));
                let value =
                    high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                value.ok_or_else(|| {
                    refused("query", "not percent-encoded: `%` needs two hex digits")
                })?
            }
            other => other,
        });
    }
    String::from_utf8(out).map_err(|_| refused("query", "not UTF-8 once it is percent-decoded"))
}

pub(super) fn refused(name: &'static str, why: impl Into<String>) -> ApiError {
    ApiError::Parameter { name, why: why.into() }
}

/// What most questions have in common.
pub(super) struct Question {
    /// Type, conditions and range.
    pub(super) select: Select,
    /// The range of `select`: what was asked for, or more where older samples were added up.
    pub(super) range: TimeRange,
    /// Length of the longest window that samples of the range were added up over.
    pub(super) window_ms: i64,
    /// The type, spelled in full.
    pub(super) type_text: String,
    /// The selector as it was typed.
    pub(super) selector_text: String,
    /// What is asked; all parts of the answer are of one moment.
    pub(super) snapshot: Snapshot,
}

impl Question {
    /// Whether the selector names the service: the tree then begins with its functions.
    pub(super) fn of_one_service(&self) -> bool {
        let named = |matcher: &Matcher| {
            &*matcher.label == "service_name" && matches!(matcher.test, Test::Equals(_))
        };
        self.select.matchers.iter().any(named)
    }

    /// Of the question's type.
    pub(super) fn profile_type(&self) -> Option<&ProfileType> {
        self.select.profile_type.as_ref()
    }
}

impl Params {
    /// A parameter that is given and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.all(name).last().filter(|text| !text.is_empty())
    }

    /// Every value of a parameter that may be given more than once.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(move |(given, _)| given == name);
        named.map(|(_, value)| value.as_str())
    }

    /// A whole number within bounds.
    pub(super) fn number<T>(
        &self,
        name: &'static str,
        default: T,
        bounds: std::ops::RangeInclusive<T>,
    ) -> Result<T, ApiError>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.text(name) else { return Ok(default) };
        let (low, high) = (bounds.start(), bounds.end());
        let wrong = || refused(name, format!("not a whole number from {low} to {high}"));
        text.parse().ok().filter(|number| bounds.contains(number)).ok_or_else(wrong)
    }

    /// One of a few words.
    pub(super) fn word<'a>(
        &'a self,
        name: &'static str,
        words: &[&'static str],
    ) -> Result<&'a str, ApiError> {
        let word = self.text(name).unwrap_or(words[0]);
        if words.contains(&word) {
            return Ok(word);
        }
        Err(refused(name, format!("unknown: give one of {}", words.join(", "))))
    }

    /// `from` and `until`.
    pub(super) fn range(&self) -> Result<TimeRange, ApiError> {
        Ok(TimeRange::resolve(self.text("from"), self.text("until"), now_ms())?)
    }

    /// `selector`
    pub(super) fn matchers(&self) -> Result<Vec<Matcher>, ApiError> {
        parse_selector(self.text("selector").unwrap_or("")).map_err(ApiError::Selector)
    }

    /// `from` and `until`, as far as samples of the range are kept apart from others.
    pub(super) fn kept_range(&self, snapshot: &Snapshot) -> Result<(TimeRange, i64), ApiError> {
        let range = self.range()?;
        let kept = snapshot.kept(range.from_ms, range.until_ms);
        let range = TimeRange { from_ms: kept.from_unix_ms, until_ms: kept.until_unix_ms };
        Ok((range, kept.window_ms))
    }

    /// `type`, `selector`, `from` and `until`, asked of a snapshot.
    pub(super) fn question(&self, snapshot: Snapshot) -> Result<Question, ApiError> {
        let type_text = self.text("type").unwrap_or(DEFAULT_TYPE);
        let profile_type = parse_type(type_text).map_err(ApiError::Type)?;
        let (range, window_ms) = self.kept_range(&snapshot)?;
        let select = Select {
            profile_type: Some(profile_type),
            matchers: self.matchers()?,
            from_unix_ms: range.from_ms,
            until_unix_ms: range.until_ms,
        };
        let selector_text = self.text("selector").unwrap_or("").to_owned();
        let type_text = type_text.to_owned();
        Ok(Question { select, range, window_ms, type_text, selector_text, snapshot })
    }

    /// `root`; the node above all where it is not given.
    pub(super) fn root(&self) -> Result<NodeId, ApiError> {
        let Some(text) = self.text("root") else { return Ok(NodeId::ALL) };
        let id = Some(text).filter(|text| text.len() == 16).and_then(|text| text.parse().ok());
        id.ok_or_else(|| refused("root", "not a node id: 16 hex digits"))
    }

    /// `q`
    pub(super) fn pattern(&self) -> Result<Option<Pattern>, ApiError> {
        Ok(self.text("q").map(Pattern::parse).transpose()?)
    }
}

/// Now, in milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params(parse(query).expect("a good query string"))
    }

    #[test]
    fn names_and_values_are_percent_decoded() {
        let params = params("selector=%7Ba%3D%22x+y%22%7D&q=%C3%A9&empty=");
        assert_eq!(params.text("selector"), Some("{a=\"x y\"}"));
        assert_eq!(params.text("q"), Some("é"));
        assert_eq!(params.text("empty"), None);
        assert!(parse("a=%2").is_err() && parse("a=%ff").is_err() && parse("a=%+1").is_err());
    }

    #[test]
    fn refusals_name_the_parameter_and_what_is_allowed() {
        let params = params("width=0&sort=up&root=12&type=x");
        let width = params.number("width", 1200_u32, 1..=16384).expect_err("too small");
        assert_eq!(width.to_string(), "`width` is not a whole number from 1 to 16384");
        let sort = params.word("sort", &["total", "self"]).expect_err("not a column");
        assert_eq!(sort.to_string(), "`sort` is unknown: give one of total, self");
        assert!(params.root().expect_err("too short").to_string().contains("16 hex digits"));
        let wrong = parse_type(params.text("type").unwrap_or_default()).map_err(ApiError::Type);
        assert!(wrong.expect_err("no type").to_string().contains("`type`"));
    }
}
