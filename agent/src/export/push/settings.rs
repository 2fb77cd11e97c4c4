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
