//! Settings as text, in the form in which they are read.

use std::time::Duration;

use super::otlp::Target;
use crate::export::otlp::Protocol;

/// `10s`, `1m30s`, `250ms`.
pub(super) fn duration(time: &Duration) -> String {
    let milliseconds = time.as_millis();
    let mut text = String::new();
    for (unit, size, of) in
        [("h", 3_600_000, u128::MAX), ("m", 60_000, 60), ("s", 1_000, 60), ("ms", 1, 1_000)]
    {
        let count = milliseconds / size % of;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// `32MiB`, `1000`.
pub(super) fn bytes(bytes: &usize) -> String {
    let fits = |shift: u32| *bytes > 0 && bytes.trailing_zeros() >= shift;
    match () {
        () if fits(30) => format!("{}GiB", bytes >> 30),
        () if fits(20) => format!("{}MiB", bytes >> 20),
        () if fits(10) => format!("{}KiB", bytes >> 10),
        () => bytes.to_string(),
    }
}

/// `a=1, b=2`.
pub(super) fn pairs<T: std::fmt::Display>(pairs: &[(String, T)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

/// As it would be written in a setting.
pub(super) fn target(target: &Target) -> String {
    match target {
        Target::Off => "off".into(),
        Target::To { url, protocol: Protocol::Http } => url.clone(),
        Target::To { url, protocol: Protocol::Grpc } => url.replacen("http", "grpc", 1),
    }
}
