//! One text to one value. `None` means: not what the setting expects.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::otlp::Target;
use crate::export::otlp::Protocol;

/// `10s`, `1m30s`, `250ms`; never nothing.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|letter: char| letter.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        total = total.checked_add(one_duration(number.parse().ok()?, unit)?)?;
        rest = after;
    }
    (!total.is_zero()).then_some(total)
}

fn one_duration(count: u64, unit: &str) -> Option<Duration> {
    match unit {
        "ms" => Some(Duration::from_millis(count)),
        "s" => Some(Duration::from_secs(count)),
        "m" => count.checked_mul(60).map(Duration::from_secs),
        "h" => count.checked_mul(3_600).map(Duration::from_secs),
        _ => None,
    }
}

/// A duration no longer than a day.
pub(super) fn recording(text: &str) -> Option<Duration> {
    duration(text).filter(|time| *time <= Duration::from_secs(86_400))
}

/// A profile's length: below a second it is all overhead, above ten minutes servers refuse it.
pub(super) fn window(text: &str) -> Option<Duration> {
    duration(text).filter(|time| (1..=600).contains(&time.as_secs()))
}

pub(super) fn frequency(text: &str) -> Option<u32> {
    text.parse().ok().filter(|frequency| (1..=1_000).contains(frequency))
}

pub(super) fn pid(text: &str) -> Option<u32> {
    text.parse().ok().filter(|pid| (1..=i32::MAX.unsigned_abs()).contains(pid))
}

/// An http or https address of a server. Credentials in it would end up in logs.
pub(super) fn url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none();
    let bare = url.query().is_none() && url.fragment().is_none();
    let web = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    (plain && bare && web).then(|| text.to_owned())
}

/// Where OTLP goes: an address whose scheme says how, or `off`.
pub(super) fn target(text: &str) -> Option<Target> {
    if text == "off" {
        return Some(Target::Off);
    }
    let (text, protocol) = match text.split_once("://")? {
        ("grpc", rest) => (format!("http://{rest}"), Protocol::Grpc),
        ("grpcs", rest) => (format!("https://{rest}"), Protocol::Grpc),
        _ => (text.to_owned(), Protocol::Http),
    };
    Some(Target::To { url: url(&text)?, protocol })
}

/// Addresses of servers, with blanks between them.
pub(super) fn urls(text: &str) -> Option<Vec<String>> {
    let urls: Option<Vec<String>> = text.split_ascii_whitespace().map(url).collect();
    urls.filter(|urls| !urls.is_empty())
}

/// A folder wherever the agent was started.
pub(super) fn folder(text: &str) -> Option<PathBuf> {
    let path = line(text).map(PathBuf::from)?;
    path.is_absolute().then_some(path)
}

pub(super) fn bytes(text: &str) -> Option<usize> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let size: usize = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(size).filter(|bytes| *bytes >= 1 << 20)
}

/// Memory that is taken whole when the agent starts, and never swapped out.
pub(super) fn table_bytes(text: &str) -> Option<usize> {
    bytes(text).filter(|bytes| *bytes <= 1 << 30)
}

/// A level, or filter directives such as `info,sonde_agent::export=debug`.
pub(super) fn log_level(text: &str) -> Option<String> {
    let known = matches!(text, "error" | "warn" | "info" | "debug" | "trace");
    let directives = text.contains('=') && tracing_subscriber::EnvFilter::try_new(text).is_ok();
    (known || directives).then(|| text.to_owned())
}

/// One line that says something.
pub(super) fn line(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
}

/// `a=1,b=2`.
pub(super) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect()
}

/// What Prometheus and Pyroscope take as a label's name; names with `__` in front are theirs.
pub(super) fn is_label_name(name: &str) -> bool {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.');
    !name.is_empty()
        && !name.starts_with("__")
        && !name.starts_with(|letter: char| letter.is_ascii_digit())
        && name.chars().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::show;

    #[test]
    fn durations_are_read_as_they_are_shown() {
        for (text, milliseconds) in
            [("10s", 10_000), ("1m30s", 90_000), ("250ms", 250), ("1h1ms", 3_600_001)]
        {
            let time = duration(text);
            assert_eq!(time, Some(Duration::from_millis(milliseconds)), "{text}");
            assert_eq!(time.map(|time| show::duration(&time)).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        let huge = format!("{}h", u64::MAX);
        for text in ["", "10", "s", "0s", "1.5s", "-1s", "10 s", "1d", "1sé", &huge] {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn frequencies_are_whole_numbers_up_to_a_thousand() {
        assert_eq!(["1", "1000"].map(frequency), [Some(1), Some(1_000)]);
        assert_eq!(["0", "1001", "97.5", "-1", ""].map(frequency), [None; 5]);
    }

    #[test]
    fn addresses_are_http_with_a_host_and_without_credentials() {
        assert!(url("https://profiles.example:4040/base").is_some());
        for text in
            ["h:4040", "ftp://h", "http://", "http://me:pw@h", "http://h/?a=b", "http://h/#a"]
        {
            assert_eq!(url(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_read_as_they_are_shown() {
        for text in ["1MiB", "32MiB", "2GiB", "1025KiB", "1048577"] {
            assert_eq!(bytes(text).map(|bytes| show::bytes(&bytes)).as_deref(), Some(text));
        }
        assert_eq!(["1KiB", "1MB", "", "99999999999GiB"].map(bytes), [None; 4]);
        assert_eq!(["1GiB", "1025MiB"].map(table_bytes), [Some(1 << 30), None]);
    }

    #[test]
    fn log_levels_are_words_or_directives() {
        assert!(log_level("debug").is_some() && log_level("info,h2=warn").is_some());
        assert_eq!(["loud", "", "a=b=c"].map(log_level), [const { None }; 3]);
    }
}
