//! What tells series of requests apart, by OpenTelemetry's conventions for HTTP:
//! <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::route::route_of;
use crate::http::{Exchange, Outcome, Side};

/// Methods that have a name of their own (RFC 9110, RFC 5789, RFC 10008).
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];
/// What OpenTelemetry calls series beyond a limit.
pub(super) const OVERFLOW: &str = "otel.metric.overflow";
/// Stands for the status code itself.
const STATUS: &str = "status";

/// Whose exchange it was, and with whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Spoken {
    /// `service.name` of the observed process.
    pub(super) service: Arc<str>,
    /// Where a client's request went: the `Host` field or the peer's address, and the port.
    pub(super) server: Option<(Arc<str>, u16)>,
}

/// What tells series apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) spoken: Spoken,
    pub(super) is_server: bool,
    pub(super) method: &'static str,
    pub(super) route: Box<str>,
    /// 0 without a response.
    pub(super) status: u16,
    /// `error.type`, or that the status is it; empty without an error.
    pub(super) error: &'static str,
}

impl Key {
    pub(super) fn of(exchange: &Exchange, spoken: Spoken) -> Self {
        let is_server = exchange.side == Side::Server;
        let status = exchange.response.as_ref().map_or(0, |response| response.status);
        Self {
            spoken,
            is_server,
            method: method_of(exchange.request.method()),
            // A client does not know how the server cuts its paths.
            route: if is_server { route_of(exchange.request.path()).into() } else { "".into() },
            status,
            error: error_of(exchange, is_server, status),
        }
    }

    /// The series of all for which there is no room.
    pub(super) fn overflow(self) -> Self {
        Self { method: OVERFLOW, route: "".into(), status: 0, error: "", ..self }
    }

    pub(super) fn is_overflow(&self) -> bool {
        self.method == OVERFLOW
    }

    /// `error.type`; empty without an error.
    pub(super) fn error_type(&self) -> Cow<'static, str> {
        if self.error == STATUS { self.status.to_string().into() } else { self.error.into() }
    }

    /// The name that its spans have.
    pub(super) fn span_name(&self) -> String {
        let method = if self.method == "_OTHER" { "HTTP" } else { self.method };
        if self.route.is_empty() { method.to_owned() } else { format!("{method} {}", self.route) }
    }

    /// Its attributes, but for the service.
    pub(super) fn attributes(&self) -> Vec<(&'static str, String)> {
        if self.is_overflow() {
            return vec![(OVERFLOW, "true".into())];
        }
        let mut all = vec![("http.request.method", self.method.to_owned())];
        if !self.route.is_empty() {
            all.push(("http.route", self.route.to_string()));
        }
        if self.status != 0 {
            all.push(("http.response.status_code", self.status.to_string()));
        }
        if !self.error.is_empty() {
            all.push(("error.type", self.error_type().into_owned()));
        }
        match &self.spoken.server {
            Some((address, port)) => {
                all.push(("server.address", address.to_string()));
                all.push(("server.port", port.to_string()));
            }
            None => all.push(("url.scheme", "http".to_owned())),
        }
        all
    }
}

/// A method by the name that the conventions have for it.
pub(super) fn method_of(method: &str) -> &'static str {
    METHODS.iter().find(|known| **known == method).copied().unwrap_or("_OTHER")
}

/// `error.type`: the status where the conventions call it an error, or how it ended.
fn error_of(exchange: &Exchange, is_server: bool, status: u16) -> &'static str {
    // Who is told of a failure often closes without reading the page about it: the failure counts.
    if status >= if is_server { 500 } else { 400 } {
        return STATUS;
    }
    match exchange.outcome {
        Outcome::NoResponse(_) => "no_response",
        Outcome::Aborted(_) => "aborted",
        Outcome::TimedOut => "timeout",
        Outcome::GaveUp(_) | Outcome::LostBytes | Outcome::Complete | Outcome::Upgraded => "",
    }
}

/// When an exchange was under way, on `CLOCK_BOOTTIME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
}

impl Timing {
    /// `None` where its end is not known.
    pub(super) fn of(exchange: &Exchange) -> Option<Self> {
        if matches!(exchange.outcome, Outcome::LostBytes | Outcome::GaveUp(_)) {
            return None;
        }
        let request = &exchange.request.transfer;
        let response = exchange.response.as_ref().map(|response| response.transfer.last_ns);
        let start_ns = request.first_ns;
        Some(Self { start_ns, end_ns: response.unwrap_or(request.last_ns).max(start_ns) })
    }

    pub(super) fn length_ns(self) -> u64 {
        self.end_ns - self.start_ns
    }

    pub(super) fn seconds(self) -> f64 {
        Duration::from_nanos(self.length_ns()).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Closer;
    use crate::requests::tests::exchange;

    #[test]
    fn errors_are_what_the_conventions_call_errors() {
        let error = |status, is_server| error_of(&exchange("/", status, 5), is_server, status);
        assert_eq!((error(404, true), error(404, false)), ("", STATUS));
        assert_eq!((error(503, true), error(200, false)), (STATUS, ""));
        let cut_short = |status| {
            let outcome = Outcome::Aborted(Closer::Peer);
            error_of(&Exchange { outcome, ..exchange("/", status, 5) }, true, status)
        };
        assert_eq!((cut_short(503), cut_short(404)), (STATUS, "aborted"));
    }

    #[test]
    fn a_series_has_the_attributes_of_the_conventions() {
        let spoken = Spoken { service: "shop".into(), server: None };
        let key = Key::of(&exchange("/users/7", 503, 5), spoken);
        let attributes = key.attributes();
        let expected = [
            ("http.request.method", "GET"),
            ("http.route", "/users/{id}"),
            ("http.response.status_code", "503"),
            ("error.type", "503"),
            ("url.scheme", "http"),
        ];
        assert_eq!(attributes, expected.map(|(name, value)| (name, value.to_owned())));
        assert_eq!(key.span_name(), "GET /users/{id}");
    }
}
