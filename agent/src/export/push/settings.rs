//! What pushing needs to be told.

use std::time::Duration;

use crate::config::Secret;

/// Where to push, as whom, and how much may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushSettings {
    /// Base address, `http` or `https`; the method's path is appended to its path.
    pub url: String,
    /// How to prove who we are.
    pub credentials: Option<Credentials>,
    /// Sent as `X-Scope-OrgID`, which is how Pyroscope names a tenant.
    pub tenant: Option<String>,
    /// Further headers. Values are secrets: that is what such headers are mostly for.
    pub headers: Vec<(String, Secret)>,
    /// Most bytes that may wait, the request under way included.
    pub queue_bytes: usize,
    /// Most requests that may wait.
    pub queue_requests: usize,
    /// Longest time for one attempt, from connecting to the last byte of the answer.
    pub request_timeout: Duration,
    /// Longest time to deliver what is left when the agent ends.
    pub flush_timeout: Duration,
    /// Upper bound of the first pause between attempts; it doubles from there.
    pub first_pause: Duration,
    /// Upper bound of every pause, unless the server asks for a longer one.
    pub longest_pause: Duration,
}

impl PushSettings {
    /// What every request carries: further headers, the tenant, and who we are.
    #[must_use]
    pub fn all_headers(&self) -> Vec<(String, Secret)> {
        let mut headers = self.headers.clone();
        if let Some(tenant) = &self.tenant {
            headers.push(("x-scope-orgid".to_owned(), tenant.clone().into()));
        }
        if let Some(credentials) = &self.credentials {
            headers.push(("authorization".to_owned(), authorization(credentials).into()));
        }
        headers
    }
}

/// One way to prove who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// `Authorization: Bearer …`.
    Bearer(Secret),
    /// `Authorization: Basic …`: name and password.
    Basic(String, Secret),
}

impl Default for PushSettings {
    /// The sizes and times; `url` is empty and must be set.
    fn default() -> Self {
        Self {
            url: String::new(),
            credentials: None,
            tenant: None,
            headers: Vec::new(),
            queue_bytes: 32 << 20,
            queue_requests: 1_024,
            request_timeout: Duration::from_secs(15),
            flush_timeout: Duration::from_secs(5),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
        }
    }
}

fn authorization(credentials: &Credentials) -> String {
    match credentials {
        Credentials::Bearer(token) => format!("Bearer {}", token.expose()),
        Credentials::Basic(user, password) => {
            format!("Basic {}", base64(format!("{user}:{}", password.expose()).as_bytes()))
        }
    }
}

/// Standard base64 with padding: basic authentication is its only use here.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_pads_as_the_standard_says() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("a:~\u{7f}?", "YTp+fz8=")]
        {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
