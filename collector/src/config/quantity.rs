//! Durations and sizes as people write them: `90s`, `7d`, `64MiB`.

use std::fmt;
use std::time::Duration;

use serde::{Deserializer, de};

/// Reads a duration.
///
/// # Errors
/// The text is none; the error says what is expected.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    scaled(text, &units)
        .filter(|ms| (1..=36_500 * 86_400_000).contains(ms))
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is no duration: write it like 90s, 5m, 36h or 7d"))
}

/// Reads a number of bytes.
///
/// # Errors
/// The text is none; the error says what is expected.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let units = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
    scaled(text, &units)
        .filter(|&bytes| bytes > 0)
        .ok_or_else(|| format!("`{text}` is no size: write it like 64MiB or 10GiB"))
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

/// For `#[serde(deserialize_with)]`.
pub(super) fn read_duration<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Duration>, D::Error> {
    from.deserialize_str(Reader { read: duration, expected: "a duration like 90s or 7d" }).map(Some)
}

/// For `#[serde(deserialize_with)]`.
pub(super) fn read_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    from.deserialize_str(Reader { read: bytes, expected: "a size like 64MiB" }).map(Some)
}

/// Refuses while the deserializer still knows key and line.
struct Reader<T> {
    read: fn(&str) -> Result<T, String>,
    expected: &'static str,
}

impl<T> de::Visitor<'_> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_need_a_unit_that_is_known() {
        assert_eq!(duration("36h"), Ok(Duration::from_secs(36 * 3600)));
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        for text in ["", "7", "d", "7w", "-7d", "0s", "99999999999999d", "1.5h"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["10GB", "0B", "99999999TiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
