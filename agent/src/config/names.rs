//! Who is asked for the names of stripped programs.

use super::kind::URLS;
use super::layers::{Layers, Raw, RawValue, Source};
use super::parse;
use super::resolve::Resolver;
use super::run::Origin;

/// Takes what other tools are told, for who wants that.
const AS_OTHER_TOOLS: &str = "env";
const THEIR_VARIABLE: &str = "DEBUGINFOD_URLS";
const KEY: &str = "debuginfod_urls";

impl Resolver<'_> {
    /// Nobody, unless somebody says so here: distributions set `DEBUGINFOD_URLS` for everybody who
    /// logs in, and that is no consent to tell a server which programs run on this host.
    pub(super) fn debuginfod_urls(&mut self) -> Vec<String> {
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
