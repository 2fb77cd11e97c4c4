//! The rules for labels, and a label set under construction.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::IngestError;
use super::limits::Limits;
use crate::profile::Labels;

/// Labels of the samples that tie them to one request; they would make a series of each request.
const PER_REQUEST: [&str; 3] = ["profile_id", "span_id", "trace_id"];

/// Labels that passed the rules.
#[derive(Clone, Debug, Default)]
pub(super) struct LabelSet {
    labels: BTreeMap<Arc<str>, Arc<str>>,
    /// The `__name__` label, which is a part of the profile type.
    pub(super) name: Option<Arc<str>>,
}

impl LabelSet {
    /// Adds or replaces a label. Ids of single requests and names between double underscores
    /// (a client's private labels) are left out, `__name__` is kept aside, empty values count as
    /// no label.
    pub(super) fn set(
        &mut self,
        name: &str,
        value: &str,
        limits: &Limits,
    ) -> Result<(), IngestError> {
        check(name, value, limits)?;
        if name == "__name__" {
            self.name = Some(Arc::from(value));
        } else if value.is_empty() || is_private(name) || PER_REQUEST.contains(&name) {
            return Ok(());
        } else {
            self.labels.insert(Arc::from(name), Arc::from(value));
            if self.labels.len() > limits.labels {
                return Err(IngestError::TooMany {
                    what: "labels of one series",
                    limit: limits.labels,
                });
            }
        }
        Ok(())
    }

    /// Gives the set a `service_name` if it has none.
    pub(super) fn default_service(&mut self, service: &str) {
        self.labels.entry(Arc::from("service_name")).or_insert_with(|| Arc::from(service));
    }

    /// The finished set.
    pub(super) fn labels(&self) -> Labels {
        Labels(self.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

fn is_private(name: &str) -> bool {
    name.len() > 4 && name.starts_with("__") && name.ends_with("__")
}

fn check(name: &str, value: &str, limits: &Limits) -> Result<(), IngestError> {
    let refuse = |why| {
        let name = name.chars().take(64).collect();
        Err(IngestError::BadLabel { name, why })
    };
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
    let continues = |c: char| starts(c) || c.is_ascii_digit() || c == '.';
    if name.len() > limits.label_name_bytes {
        return refuse("has a name that is too long");
    }
    if !name.starts_with(starts) || !name.chars().all(continues) {
        return refuse("has a name that is not letters, digits, '_' and '.'");
    }
    if value.len() > limits.label_value_bytes {
        return refuse("has a value that is too long");
    }
    if value.chars().any(char::is_control) {
        return refuse("has a control character in its value");
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test data is known")]
mod tests {
    use super::*;

    fn refusal(name: &str, value: &str) -> Option<&'static str> {
        LabelSet::default().set(name, value, &Limits::default()).err().map(|error| error.label())
    }

    #[test]
    fn labels_that_break_a_rule_are_refused() {
        let long = "v".repeat(2049);
        for (name, value) in [
            ("", "v"),
            ("1st", "v"),
            ("na-me", "v"),
            ("naïve", "v"),
            (&"n".repeat(129), "v"),
            ("name", "two\nlines"),
            ("name", "nul\0"),
            ("name", &long),
        ] {
            assert_eq!(refusal(name, value), Some("bad_label"), "{name:?}");
        }
        assert_eq!(refusal("k8s.pod_name", "web-0 ✓"), None);
    }

    #[test]
    fn request_ids_and_private_labels_do_not_make_series() {
        let mut set = LabelSet::default();
        for name in ["span_id", "trace_id", "profile_id", "__session_id__", "__name__", "pid"] {
            set.set(name, "7", &Limits::default()).unwrap();
        }
        set.default_service("web");
        let names: Vec<_> = set.labels().0.iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["pid", "service_name"]);
        assert_eq!(set.name.as_deref(), Some("7"));
    }

    #[test]
    fn a_series_has_at_most_so_many_labels() {
        let mut set = LabelSet::default();
        let last = (0..=64).map(|n| set.set(&format!("l{n}"), "v", &Limits::default())).last();
        assert!(matches!(last, Some(Err(IngestError::TooMany { limit: 64, .. }))));
    }
}
