//! The time range of a question: absolute milliseconds, or relative to a now that is passed in.

/// From inclusive, until exclusive, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// Start, inclusive.
    pub from_ms: i64,
    /// End, exclusive.
    pub until_ms: i64,
}

/// Why a range is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// One end cannot be read.
    #[error("`{name}` is `{text}`: give Unix milliseconds, `now`, or `now-15m` (s, m, h, d)")]
    Text {
        /// `from` or `until`.
        name: &'static str,
        /// What was given.
        text: String,
    },
    /// It ends before it starts.
    #[error("`until` ({until_ms}) must be after `from` ({from_ms})")]
    Empty {
        /// Resolved start.
        from_ms: i64,
        /// Resolved end.
        until_ms: i64,
    },
}

impl TimeRange {
    /// Resolves a range; what is missing is `now-15m` and `now`. The now of a relative time is
    /// rounded up to a second, so that the parts of one page ask for the same range.
    ///
    /// # Errors
    /// An end cannot be read, or the range is empty.
    pub fn resolve(
        from: Option<&str>,
        until: Option<&str>,
        now_ms: i64,
    ) -> Result<Self, RangeError> {
        let now_ms = now_ms.saturating_add(999).div_euclid(1000) * 1000;
        let from_ms = moment("from", from.unwrap_or("now-15m"), now_ms)?;
        let until_ms = moment("until", until.unwrap_or("now"), now_ms)?;
        if until_ms <= from_ms {
            return Err(RangeError::Empty { from_ms, until_ms });
        }
        Ok(Self { from_ms, until_ms })
    }

    /// Length in milliseconds.
    #[must_use]
    pub fn length_ms(self) -> i64 {
        self.until_ms - self.from_ms
    }
}

/// Year 9999; leaves room for sums without overflow.
const LATEST_MS: i64 = 253_402_300_799_999;

fn moment(name: &'static str, text: &str, now_ms: i64) -> Result<i64, RangeError> {
    let parsed = match text.strip_prefix("now") {
        Some("") => Some(now_ms),
        Some(rest) => rest.strip_prefix('-').and_then(duration_ms).map(|ms| now_ms - ms),
        None => text.parse().ok(),
    };
    let in_range = parsed.filter(|ms| (0..=LATEST_MS).contains(ms));
    in_range.ok_or_else(|| RangeError::Text { name, text: text.chars().take(64).collect() })
}

fn duration_ms(text: &str) -> Option<i64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit_ms).filter(|ms| *ms <= LATEST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_500;

    fn resolve(from: &str, until: &str) -> Result<(i64, i64), RangeError> {
        let range = TimeRange::resolve(Some(from), Some(until), NOW)?;
        Ok((range.from_ms, range.until_ms))
    }

    #[test]
    fn relative_times_count_from_the_end_of_this_second() {
        let now = 1_700_000_001_000;
        assert_eq!(resolve("now-1h", "now"), Ok((now - 3_600_000, now)));
        assert_eq!(resolve("now-2d", "now-30s"), Ok((now - 172_800_000, now - 30_000)));
        assert_eq!(resolve("5", "7"), Ok((5, 7)));
        let default = TimeRange::resolve(None, None, NOW).expect("the default range");
        assert_eq!(default.length_ms(), 900_000);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "now+1h", "now-", "now-h", "now-5w", "-5", "1e3", "now-99999999999999999d"]
        {
            assert!(matches!(resolve(text, "now"), Err(RangeError::Text { .. })), "{text}");
        }
        assert!(matches!(resolve("now", "now-1h"), Err(RangeError::Empty { .. })));
        assert!(matches!(resolve("5", "9223372036854775807"), Err(RangeError::Text { .. })));
    }
}
