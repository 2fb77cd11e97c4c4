//! One attempt to deliver one request, and what the answer means.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use super::backoff::retry_after;
use super::batch::Request;
use super::settings::PushSettings;
use crate::export::http;

const PATH: &str = "push.v1.PusherService/Push";

/// Most of a server's words that are read, and shown.
const WORDS_BYTES: usize = 300;

/// Why a sender could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address cannot be used.
    #[error("{url:?} is no http or https address with a host")]
    Url {
        /// What was given.
        url: String,
    },
    /// A header cannot be sent. Its value is not shown: it may be a secret.
    #[error("header {name:?} has a name or a value that HTTP does not allow")]
    Header {
        /// The header's name.
        name: String,
    },
    /// The TLS library or the system's certificates cannot be used.
    #[error("set up the HTTP client")]
    Client(#[from] reqwest::Error),
}

/// What an attempt came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Delivered,
    /// Not for this request, ever.
    Refused {
        why: String,
    },
    /// `broken`: the server failed in a way that this request itself may cause.
    Retry {
        why: String,
        after: Option<Duration>,
        broken: bool,
    },
}

pub(super) struct PushClient {
    client: Client,
    url: Url,
    headers: HeaderMap,
}

impl PushClient {
    pub(super) fn new(settings: &PushSettings) -> Result<Self, SetupError> {
        let url = endpoint(&settings.url)?;
        let client = http::client([&url], settings.request_timeout, |builder| builder)?;
        Ok(Self { client, url, headers: headers(settings)? })
    }

    pub(super) async fn post(&self, request: &Request) -> Answer {
        let attempt = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .body(request.body.clone());
        match attempt.send().await {
            Ok(response) => answer(response).await,
            Err(error) => Answer::Retry { why: chain(&error), after: None, broken: false },
        }
    }
}

fn endpoint(base: &str) -> Result<Url, SetupError> {
    let refused = || SetupError::Url { url: base.to_owned() };
    let mut url = Url::parse(base).map_err(|_| refused())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(refused());
    }
    let path = format!("{}/{PATH}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

fn headers(settings: &PushSettings) -> Result<HeaderMap, SetupError> {
    let mut headers = HeaderMap::new();
    for (name, value) in settings.all_headers() {
        insert(&mut headers, &name, value.expose())?;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/proto"));
    Ok(headers)
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), SetupError> {
    let refused = || SetupError::Header { name: name.to_owned() };
    let key: HeaderName = name.parse().map_err(|_| refused())?;
    let mut value: HeaderValue = value.parse().map_err(|_| refused())?;
    value.set_sensitive(true);
    headers.insert(key, value);
    Ok(())
}

async fn answer(response: Response) -> Answer {
    let status = response.status();
    if status.is_success() {
        return Answer::Delivered;
    }
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(retry_after);
    let words = words(response).await;
    let why = format!("{status}: {words}");
    match status {
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Answer::Retry { why, after, broken: false },
        status if status.is_server_error() => Answer::Retry { why, after, broken: true },
        _ => Answer::Refused { why },
    }
}

/// The beginning of the server's words, on one line.
async fn words(mut response: Response) -> String {
    let mut read = Vec::new();
    while read.len() < WORDS_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        read.extend_from_slice(&chunk[..chunk.len().min(WORDS_BYTES)]);
    }
    read.truncate(WORDS_BYTES);
    let text = String::from_utf8_lossy(&read);
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// An error and its causes on one line; the address is left out, because the log line has it.
fn chain(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let texts = causes.map(ToString::to_string);
    let head = if error.is_timeout() { "timed out" } else { "cannot send" };
    std::iter::once(head.to_owned()).chain(texts).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_method_is_appended_to_the_path_of_the_address() {
        let check = |base, expected| assert_eq!(endpoint(base).unwrap().as_str(), expected);
        check("http://h:4040", "http://h:4040/push.v1.PusherService/Push");
        check("https://h/profiles/", "https://h/profiles/push.v1.PusherService/Push");
    }

    #[test]
    fn only_http_addresses_with_a_host_are_taken() {
        for base in ["ftp://h", "localhost:4040", "http://", "", "unix:/run/x"] {
            assert!(matches!(endpoint(base), Err(SetupError::Url { .. })), "{base:?}");
        }
    }

    #[test]
    fn a_header_that_http_does_not_allow_is_refused_without_showing_its_value() {
        let headers = vec![("X-Key".to_owned(), "se\ncret".to_owned().into())];
        let settings = PushSettings { url: "http://h".into(), headers, ..PushSettings::default() };
        let refused = PushClient::new(&settings).err().unwrap().to_string();
        assert!(refused.contains("X-Key") && !refused.contains("cret"), "{refused}");
    }
}
