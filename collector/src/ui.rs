//! The page's files, compiled in. What is in `ui/` is what the browser runs.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

use crate::api::gzip;

#[derive(RustEmbed)]
#[folder = "ui/"]
struct Files;

/// Pages of the application; each is the same document, which reads its address.
const PAGES: [&str; 7] =
    ["/", "/services", "/service", "/profiles", "/traces", "/trace/{trace_id}", "/map"];

/// Smaller files gain nothing from compression.
const WORTH_COMPRESSING: usize = 512;

/// The pages and, under `/ui/`, what they load.
pub fn routes() -> Router {
    let pages = PAGES.iter().fold(Router::new(), |routes, path| routes.route(path, get(page)));
    pages.route("/ui/{*path}", get(asset))
}

async fn page(headers: HeaderMap) -> Response {
    answer("index.html", &headers)
}

async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    answer(&path, &headers)
}

fn answer(path: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = Asset::find(path) else {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    };
    let known = header_text(headers, &header::IF_NONE_MATCH);
    let mut response = if known.split(',').any(|tag| tag.trim() == asset.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        asset.body(header_text(headers, &header::ACCEPT_ENCODING))
    };
    let headers = response.headers_mut();
    // Names carry no hash, so a browser asks each time, and mostly hears "not modified".
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::from_str(&asset.etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

fn header_text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

#[derive(Clone)]
struct Asset {
    mime: String,
    etag: String,
    plain: Cow<'static, [u8]>,
    /// Empty where compression does not pay.
    gzipped: Bytes,
}

/// Every file, compressed once.
static EMBEDDED: LazyLock<HashMap<String, Asset>> = LazyLock::new(|| {
    Files::iter()
        .filter(|path| is_shipped(path))
        .filter_map(|path| Some((path.to_string(), Asset::new(Files::get(&path)?))))
        .collect()
});

/// What only editors and tests of the page need stays unserved.
fn is_shipped(path: &str) -> bool {
    path != "package.json" && !path.ends_with(".d.ts")
}

impl Asset {
    fn find(path: &str) -> Option<Cow<'static, Self>> {
        #[cfg(debug_assertions)]
        if let Some(dir) = std::env::var_os("SONDE_UI_DIR") {
            return Self::on_disk(std::path::Path::new(&dir), path).map(Cow::Owned);
        }
        EMBEDDED.get(path).map(Cow::Borrowed)
    }

    /// For work on the page: edit, reload. Only names that the program knows are looked for.
    #[cfg(debug_assertions)]
    fn on_disk(dir: &std::path::Path, path: &str) -> Option<Self> {
        let plain = path.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
        let file = plain.then(|| rust_embed::utils::read_file_from_fs(&dir.join(path)).ok())?;
        file.map(Self::new)
    }

    fn new(file: rust_embed::EmbeddedFile) -> Self {
        let mime = file.metadata.mimetype();
        let text =
            mime.starts_with("text/") || mime.ends_with("javascript") || mime.contains("svg");
        let mime = if text { format!("{mime}; charset=utf-8") } else { mime.to_owned() };
        let hash = file.metadata.sha256_hash();
        let mut etag = String::from("\"");
        for byte in &hash[..8] {
            // Writing to a string cannot fail.
            let _ = write!(etag, "{byte:02x}");
        }
        etag.push('"');
        let gzipped = if text && file.data.len() >= WORTH_COMPRESSING {
            gzip(&file.data).unwrap_or_default().into()
        } else {
            Bytes::new()
        };
        Self { mime, etag, plain: file.data, gzipped }
    }

    fn body(&self, accepted: &str) -> Response {
        let mime = [(header::CONTENT_TYPE, self.mime.clone())];
        let takes_gzip = accepted.split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            parts.next() == Some("gzip") && !parts.any(|part| matches!(part, "q=0" | "q=0.0"))
        });
        if takes_gzip && !self.gzipped.is_empty() {
            let coding = [(header::CONTENT_ENCODING, "gzip")];
            return (mime, coding, self.gzipped.clone()).into_response();
        }
        (mime, self.plain.clone().into_owned()).into_response()
    }
}
