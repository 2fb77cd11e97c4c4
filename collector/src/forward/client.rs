//! One attempt to pass a request on, and what the answer means by OTLP's rules.

use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url, redirect};

use super::{ForwardSettings, Forwarded};

/// Why requests cannot be passed on at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address cannot be used.
    #[error("{url:?} is no http or https address with a host")]
    Url {
        /// What was given.
        url: String,
    },
    /// The TLS library or the system's certificates cannot be used.
    #[error("set up the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// What an attempt came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Delivered,
    /// Not for this request, ever.
    Refused(String),
    /// `broken`: the server failed in a way that this request itself may cause.
    Retry {
        why: String,
        after: Option<Duration>,
        broken: bool,
    },
}

pub(super) struct ForwardClient {
    client: Client,
    base: Url,
}

/// Checks an address.
///
/// # Errors
/// It is none that requests can be sent to.
pub(crate) fn endpoint(url: &str) -> Result<Url, SetupError> {
    let refused = || SetupError::Url { url: url.to_owned() };
    let base = Url::parse(url).map_err(|_| refused())?;
    let usable = matches!(base.scheme(), "http" | "https")
        && base.host_str().is_some_and(|host| !host.is_empty())
        && base.query().is_none();
    usable.then_some(base).ok_or_else(refused)
}

impl ForwardClient {
    pub(super) fn new(settings: &ForwardSettings) -> Result<Self, SetupError> {
        let base = endpoint(&settings.url)?;
        // A second call finds the provider in place, which is what it wants.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("sonde-collector/", env!("CARGO_PKG_VERSION")))
            .timeout(settings.timeout)
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self { client, base })
    }

    pub(super) async fn post(&self, request: &Forwarded) -> Answer {
        let mut url = self.base.clone();
        let path =
            format!("{}/v1/{}", self.base.path().trim_end_matches('/'), request.signal.name());
        url.set_path(&path);
        let kind = if request.json { "application/json" } else { "application/x-protobuf" };
        let mut attempt = self.client.post(url).header(CONTENT_TYPE, kind);
        if request.gzip {
            attempt = attempt.header(CONTENT_ENCODING, "gzip");
        }
        match attempt.body(request.body.clone()).send().await {
            Ok(response) => {
                let after = response.headers().get(RETRY_AFTER);
                let after = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
                judge(response.status(), after.map(Duration::from_secs))
            }
            Err(error) => Answer::Retry { why: error.to_string(), after: None, broken: false },
        }
    }
}

fn judge(status: StatusCode, after: Option<Duration>) -> Answer {
    let why = status.to_string();
    match status {
        status if status.is_success() => Answer::Delivered,
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Answer::Retry { why, after, broken: false },
        status if status.is_server_error() => Answer::Retry { why, after, broken: true },
        _ => Answer::Refused(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_otlp_says() {
        assert_eq!(judge(StatusCode::OK, None), Answer::Delivered);
        assert!(matches!(judge(StatusCode::BAD_REQUEST, None), Answer::Refused(_)));
        assert!(matches!(judge(StatusCode::PERMANENT_REDIRECT, None), Answer::Refused(_)));
        for (status, expected) in
            [(429, false), (502, false), (503, false), (504, false), (500, true)]
        {
            let status = StatusCode::from_u16(status).expect("a status");
            let Answer::Retry { broken, .. } = judge(status, None) else { panic!("{status}") };
            assert_eq!(broken, expected, "{status}");
        }
    }

    #[test]
    fn addresses_that_nothing_can_be_sent_to_are_refused() {
        assert!(endpoint("http://127.0.0.1:4318/base/").is_ok());
        for url in ["", "127.0.0.1:4318", "ftp://a/", "http://a/?q=1", "grpc://a:4317"] {
            assert!(endpoint(url).is_err(), "{url}");
        }
    }
}
