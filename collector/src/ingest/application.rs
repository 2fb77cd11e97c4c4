//! The query of Pyroscope's `/ingest`: `name=app{k=v,…}&from=…&until=…&format=…`.

use std::sync::Arc;

use serde::Deserialize;

use super::error::IngestError;
use super::folded::Meaning;
use super::labels::LabelSet;
use super::limits::Limits;
use crate::profile::ProfileType;

/// Query parameters, as sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Parameters {
    name: String,
    from: String,
    until: String,
    format: String,
    #[serde(rename = "sampleRate")]
    sample_rate: String,
    units: String,
}

/// How the body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Lines with counts.
    Folded,
    /// Lines that count one each.
    Lines,
    /// pprof, gzipped or not.
    Pprof,
}

impl Parameters {
    /// The labels of `name`, with the application as `service_name`.
    pub(super) fn labels(&self, limits: &Limits) -> Result<LabelSet, IngestError> {
        let (app, labels) = match self.name.split_once('{') {
            None => (self.name.as_str(), ""),
            Some((app, rest)) => {
                (app, rest.strip_suffix('}').ok_or_else(|| bad_name("'{' without '}'"))?)
            }
        };
        let mut set = LabelSet::default();
        for pair in labels.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) =
                pair.split_once('=').ok_or_else(|| bad_name("a label without '='"))?;
            set.set(name.trim(), value.trim().trim_matches('"'), limits)?;
        }
        let app = app.trim();
        let service = if app.is_empty() { "unknown_service" } else { app };
        let mut named = LabelSet::default();
        named.set("service_name", service, limits)?;
        set.default_service(service);
        Ok(set)
    }

    /// Start of the profile, if `from` says one, in milliseconds since 1970.
    pub(super) fn start_unix_ms(&self) -> Result<Option<i64>, IngestError> {
        unix_ms("until", &self.until)?;
        unix_ms("from", &self.from)
    }

    /// The body's format; folded if nothing says otherwise.
    pub(super) fn format(&self) -> Result<Option<Format>, IngestError> {
        match self.format.as_str() {
            "" => Ok(None),
            "folded" | "collapsed" => Ok(Some(Format::Folded)),
            "lines" => Ok(Some(Format::Lines)),
            "pprof" => Ok(Some(Format::Pprof)),
            other => Err(IngestError::Unsupported {
                what: "format",
                got: other.chars().take(32).collect(),
                accepted: "folded, lines, pprof",
            }),
        }
    }

    /// What folded counts stand for. `samples`, the default, are timer ticks and become CPU time.
    pub(super) fn meaning(&self) -> Result<Meaning, IngestError> {
        let (name, sample_type, sample_unit) = match self.units.as_str() {
            "" | "samples" => return self.ticks(),
            "objects" => ("memory", "inuse_objects", "count"),
            "bytes" => ("memory", "inuse_space", "bytes"),
            "goroutines" => ("goroutines", "goroutine", "count"),
            "lock_samples" => ("mutex", "contentions", "count"),
            "lock_nanoseconds" => ("mutex", "delay", "nanoseconds"),
            other => {
                return Err(IngestError::Unsupported {
                    what: "units",
                    got: other.chars().take(32).collect(),
                    accepted: "samples, objects, bytes, goroutines, lock_samples, lock_nanoseconds",
                });
            }
        };
        let profile_type = profile_type(name, sample_type, sample_unit, "", "");
        Ok(Meaning { profile_type, period: 0, factor: 1 })
    }

    fn ticks(&self) -> Result<Meaning, IngestError> {
        let rate: i64 = if self.sample_rate.is_empty() {
            100
        } else {
            self.sample_rate.parse().ok().filter(|rate| (1..=1_000_000).contains(rate)).ok_or_else(
                || IngestError::BadParameter {
                    name: "sampleRate",
                    why: "must be from 1 to 1000000".to_owned(),
                },
            )?
        };
        let period = 1_000_000_000 / rate;
        let profile_type = profile_type("process_cpu", "cpu", "nanoseconds", "cpu", "nanoseconds");
        Ok(Meaning { profile_type, period, factor: period })
    }
}

/// The name that Pyroscope gives a pprof profile whose sender names none, by its first sample type.
pub(super) fn name_for(sample_type: &str) -> &'static str {
    match sample_type {
        "alloc_objects" | "alloc_space" | "inuse_objects" | "inuse_space" | "space" | "objects" => {
            "memory"
        }
        "goroutine" | "goroutines" => "goroutines",
        "contentions" | "delay" | "mutex_count" | "mutex_duration" => "mutex",
        "block_count" | "block_duration" => "block",
        "wall" => "wall",
        _ => "process_cpu",
    }
}

fn profile_type(
    name: &str,
    sample_type: &str,
    sample_unit: &str,
    period_type: &str,
    period_unit: &str,
) -> ProfileType {
    let text = |text: &str| -> Arc<str> { Arc::from(text) };
    ProfileType {
        name: text(name),
        sample_type: text(sample_type),
        sample_unit: text(sample_unit),
        period_type: text(period_type),
        period_unit: text(period_unit),
    }
}

fn bad_name(why: &str) -> IngestError {
    IngestError::BadParameter { name: "name", why: why.to_owned() }
}

/// Senders write seconds, milliseconds or nanoseconds; their sizes do not overlap in this age.
fn unix_ms(name: &'static str, text: &str) -> Result<Option<i64>, IngestError> {
    if text.is_empty() {
        return Ok(None);
    }
    let number: i64 = text.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
        let why = "must be a time in seconds, milliseconds or nanoseconds since 1970".to_owned();
        IngestError::BadParameter { name, why }
    })?;
    Ok(Some(if number < 100_000_000_000 {
        number * 1000
    } else if number < 100_000_000_000_000 {
        number
    } else if number < 100_000_000_000_000_000 {
        number / 1000
    } else {
        number / 1_000_000
    }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test data is known")]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_apart_by_size() {
        for text in ["1700000000", "1700000000000", "1700000000000000", "1700000000000000000"] {
            assert_eq!(unix_ms("from", text).unwrap(), Some(1_700_000_000_000), "{text}");
        }
        assert!(unix_ms("from", "now").is_err());
    }

    #[test]
    fn an_application_name_carries_its_labels() {
        let name = "web.api{env=prod, zone=\"a\"}".to_owned();
        let set = Parameters { name, ..Parameters::default() }.labels(&Limits::default()).unwrap();
        let labels = set.labels();
        let text: Vec<_> = labels.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(text, ["env=prod", "service_name=web.api", "zone=a"]);
    }

    #[test]
    fn formats_we_do_not_read_are_refused_with_the_list() {
        for format in ["jfr", "trie", "tree", "speedscope"] {
            let refused = Parameters { format: format.to_owned(), ..Parameters::default() };
            let message = refused.format().unwrap_err().to_string();
            assert!(message.contains("folded, lines, pprof"), "{message}");
        }
    }

    #[test]
    fn timer_ticks_become_nanoseconds_by_the_sample_rate() {
        let sample_rate = "250".to_owned();
        let meaning = Parameters { sample_rate, ..Parameters::default() }.meaning().unwrap();
        assert_eq!((meaning.period, meaning.factor), (4_000_000, 4_000_000));
    }
}
