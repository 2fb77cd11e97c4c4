//! Who is asked for the names of stripped programs, and where the answers are kept.

use std::path::PathBuf;

use super::kind::{BYTES, FOLDER, URLS};
use super::layers::{Layers, Raw, RawValue, Source};
use super::parse;
use super::resolve::Resolver;
use super::run::Origin;
use crate::symbol::debuginfod::DebuginfodSettings;

/// What is said about debuginfod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebuginfodConfig {
    /// Servers; nobody is asked if there are none.
    pub urls: Vec<String>,
    /// Folder where their files are kept.
    pub cache: PathBuf,
    /// Most bytes of files that are kept.
    pub cache_bytes: usize,
}

impl Default for DebuginfodConfig {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            cache: DebuginfodSettings::CACHE.into(),
            cache_bytes: DebuginfodSettings::CACHE_BYTES,
        }
    }
}

impl DebuginfodConfig {
    /// What asking needs; `None` if nobody is to be asked.
    #[must_use]
    pub fn settings(&self) -> Option<DebuginfodSettings> {
        let urls = (!self.urls.is_empty()).then(|| self.urls.clone())?;
        Some(DebuginfodSettings::new(urls, self.cache.clone(), self.cache_bytes as u64))
    }
}

/// Takes what other tools are told, for who wants that.
const AS_OTHER_TOOLS: &str = "env";
const THEIR_VARIABLE: &str = "DEBUGINFOD_URLS";
const KEY: &str = "debuginfod_urls";

impl Resolver<'_> {
    pub(super) fn debuginfod(&mut self) -> DebuginfodConfig {
        let default = DebuginfodConfig::default();
        DebuginfodConfig {
            urls: self.debuginfod_urls(),
            cache: self.value("debuginfod_cache", &FOLDER, default.cache),
            cache_bytes: self.value("debuginfod_cache_bytes", &BYTES, default.cache_bytes),
        }
    }

    /// Nobody, unless somebody says so here: distributions set `DEBUGINFOD_URLS` for everybody who
    /// logs in, and that is no consent to tell a server which programs run on this host.
    fn debuginfod_urls(&mut self) -> Vec<String> {
        let Some(Raw { value, source }) = self.layers.get(KEY) else {
            self.origins.push(Origin { key: KEY, value: "-".to_owned(), source: Source::Default });
            return Vec::new();
        };
        if value != RawValue::Text(AS_OTHER_TOOLS.to_owned()) {
            return self.optional(KEY, &URLS).unwrap_or_default();
        }
        let urls = theirs(&self.layers);
        let shown = if urls.is_empty() { "-".to_owned() } else { urls.join(" ") };
        self.origins.push(Origin { key: KEY, value: format!("env: {shown}"), source });
        urls
    }
}

/// Other tools take more than addresses there: words such as `ima:enforcing`.
fn theirs(layers: &Layers<'_>) -> Vec<String> {
    let text = (layers.environment)(THEIR_VARIABLE).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(parse::url).collect()
}
