//! The HTTP client of everything that is sent.

use std::time::Duration;

use reqwest::{Client, ClientBuilder, Url, redirect};

/// A client for these addresses. `with` adds what is special about it.
pub(super) fn client<'a>(
    urls: impl IntoIterator<Item = &'a Url>,
    timeout: Duration,
    with: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<Client, reqwest::Error> {
    // A second call finds the provider in place, which is what it wants.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("sonde-agent/", env!("CARGO_PKG_VERSION")))
        .timeout(timeout)
        // A redirect may lead to another host, with our credentials, or turn the POST into a GET.
        .redirect(redirect::Policy::none());
    // A container without the system's certificates is no reason not to speak plainly.
    let needs_tls = urls.into_iter().any(|url| url.scheme() != "http");
    let builder = if needs_tls { builder } else { builder.tls_certs_only([]) };
    with(builder).build()
}
