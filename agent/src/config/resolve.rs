//! From what the sources say to values, one key at a time; what is wrong is kept, not thrown.

use super::kind::Kind;
use super::layers::{Layers, Raw, RawValue, Source};
use super::parse;
use super::problem::Problem;
use super::run::Origin;

/// Goes from key to key and keeps what is wrong.
pub(super) struct Resolver<'a> {
    pub(super) layers: Layers<'a>,
    pub(super) problems: Vec<Problem>,
    pub(super) origins: Vec<Origin>,
}

impl Resolver<'_> {
    pub(super) fn value<T>(&mut self, key: &'static str, kind: &Kind<T>, default: T) -> T {
        let said = self.said(key, kind);
        let (value, source) = said.unwrap_or((default, Source::Default));
        self.origins.push(Origin { key, value: (kind.show)(&value), source });
        value
    }

    pub(super) fn optional<T>(&mut self, key: &'static str, kind: &Kind<T>) -> Option<T> {
        let said = self.said(key, kind);
        let shown = said.as_ref().map_or_else(|| "-".to_owned(), |(value, _)| (kind.show)(value));
        let source = said.as_ref().map_or(Source::Default, |(_, source)| source.clone());
        self.origins.push(Origin { key, value: shown, source });
        said.map(|(value, _)| value)
    }

    fn said<T>(&mut self, key: &'static str, kind: &Kind<T>) -> Option<(T, Source)> {
        let Raw { value, source } = self.layers.get(key)?;
        let parsed = match &value {
            RawValue::Text(text) => (kind.parse)(text),
            RawValue::Pairs(_) => None,
        };
        if parsed.is_none() {
            let secret = matches!(key, "bearer_token" | "basic_auth");
            let what = format!("{} is not {}", quoted(&value, secret), kind.expected);
            self.wrong(source.clone(), key, what, &format!("write for example {}", kind.example));
        }
        Some((parsed?, source))
    }

    pub(super) fn pairs(&mut self, key: &'static str) -> (Vec<(String, String)>, Source) {
        let Some(Raw { value, source }) = self.layers.get(key) else {
            return (Vec::new(), Source::Default);
        };
        let pairs = match value {
            RawValue::Pairs(pairs) => Some(pairs),
            RawValue::Text(text) => parse::pairs(&text),
        };
        if pairs.is_none() {
            let what = "this is no list of names with values".to_owned();
            self.wrong(source.clone(), key, what, "write for example env=production,team=search");
        }
        (pairs.unwrap_or_default(), source)
    }

    pub(super) fn source_of(&self, key: &str) -> Option<Source> {
        self.layers.get(key).map(|raw| raw.source)
    }

    pub(super) fn wrong(&mut self, source: Source, key: &str, what: String, remedy: &str) {
        let (key, remedy) = (key.to_owned(), remedy.to_owned());
        self.problems.push(Problem { source, key, what, remedy });
    }
}

fn quoted(value: &RawValue, secret: bool) -> String {
    match value {
        _ if secret => "***".to_owned(),
        RawValue::Text(text) => format!("{text:?}"),
        RawValue::Pairs(_) => "a mapping".to_owned(),
    }
}
