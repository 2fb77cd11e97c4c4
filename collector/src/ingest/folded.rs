//! Folded text (`main;work;leaf 42`, one stack a line, outermost frame first) to a profile.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::error::IngestError;
use super::limits::Limits;
use super::pprof::Totals;
use crate::profile::{Frame, Labels, Location, Profile, ProfileType, Sample};

/// What the values of a folded text stand for.
pub(super) struct Meaning {
    pub(super) profile_type: ProfileType,
    pub(super) period: i64,
    /// Each count is multiplied by this.
    pub(super) factor: i64,
}

/// Reads a folded text. With `counted`, lines end with a count; without, each line counts one.
/// Stack order is kept; blank lines are skipped.
pub(super) fn parse(
    text: &[u8],
    counted: bool,
    meaning: &Meaning,
    labels: Labels,
    start_unix_ms: i64,
    limits: &Limits,
) -> Result<Profile, IngestError> {
    let mut profile = Profile {
        profile_type: meaning.profile_type.clone(),
        period: meaning.period,
        start_unix_ms,
        duration_ms: 0,
        series: vec![labels],
        frames: Vec::new(),
        locations: Vec::new(),
        samples: Vec::new(),
    };
    let mut names: FxHashMap<String, u32> = FxHashMap::default();
    let mut totals = Totals::default();
    for (at, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let (stack, count) = if counted { split_count(line, at)? } else { (line, 1) };
        let value = count.checked_mul(meaning.factor).filter(|value| *value < 1 << 53);
        let value = value.ok_or(IngestError::BadValue { sample: at, value: count })?;
        let stack = stack_of(stack, &mut names, &mut profile, limits)?;
        totals.count(stack.len(), limits)?;
        if value > 0 {
            profile.samples.push(Sample { series: 0, stack, value });
        }
        if profile.samples.len() > limits.samples {
            return Err(IngestError::TooMany { what: "samples", limit: limits.samples });
        }
    }
    Ok(profile)
}

fn split_count(line: &str, at: usize) -> Result<(&str, i64), IngestError> {
    let malformed =
        |why: &str| IngestError::malformed("folded text", format!("line {}: {why}", at + 1));
    let (stack, count) =
        line.rsplit_once(' ').ok_or_else(|| malformed("no count after a space"))?;
    let count: i64 = count.parse().map_err(|_| malformed("the count is not a whole number"))?;
    if count < 0 {
        return Err(malformed("the count is negative"));
    }
    Ok((stack.trim_end(), count))
}

/// Location indices, leaf first.
fn stack_of(
    stack: &str,
    names: &mut FxHashMap<String, u32>,
    profile: &mut Profile,
    limits: &Limits,
) -> Result<Vec<u32>, IngestError> {
    let mut indices = Vec::new();
    for name in stack.rsplit(';').filter(|name| !name.is_empty()) {
        if indices.len() >= limits.depth {
            return Err(IngestError::TooMany { what: "frames of one stack", limit: limits.depth });
        }
        if name.len() > limits.symbol_bytes {
            let limit_bytes = limits.symbol_bytes;
            return Err(IngestError::TooLarge { what: "a function name", limit_bytes });
        }
        indices.push(match names.get(name) {
            Some(&known) => known,
            None => add_name(name, names, profile, limits)?,
        });
    }
    Ok(indices)
}

fn add_name(
    name: &str,
    names: &mut FxHashMap<String, u32>,
    profile: &mut Profile,
    limits: &Limits,
) -> Result<u32, IngestError> {
    let limit = limits.table_rows;
    let too_many = IngestError::TooMany { what: "functions", limit };
    let Ok(at) = u32::try_from(names.len()) else { return Err(too_many) };
    if names.len() >= limit {
        return Err(too_many);
    }
    let empty: Arc<str> = Arc::default();
    profile.frames.push(Frame {
        name: name.into(),
        system_name: empty.clone(),
        file: empty.clone(),
    });
    profile.locations.push(Location {
        address: 0,
        binary: empty.clone(),
        build_id: empty,
        frames: vec![at],
        lines: vec![0],
    });
    names.insert(name.to_owned(), at);
    Ok(at)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test data is known")]
mod tests {
    use super::*;

    fn meaning() -> Meaning {
        let text = |text: &str| -> Arc<str> { text.into() };
        let profile_type = ProfileType {
            name: text("process_cpu"),
            sample_type: text("cpu"),
            sample_unit: text("nanoseconds"),
            period_type: text("cpu"),
            period_unit: text("nanoseconds"),
        };
        Meaning { profile_type, period: 10, factor: 10 }
    }

    fn read(text: &str, counted: bool) -> Result<Profile, IngestError> {
        parse(text.as_bytes(), counted, &meaning(), Labels::default(), 5, &Limits::default())
    }

    #[test]
    fn stacks_are_turned_leaf_first_and_counts_become_time() {
        let profile = read("main;work;leaf 3\n\nmain;operator new (x) 2\r\n", true).unwrap();
        let name = |at: &u32| profile.frames[*at as usize].name.to_string();
        let stacks: Vec<Vec<String>> =
            profile.samples.iter().map(|s| s.stack.iter().map(name).collect()).collect();
        assert_eq!(stacks, [vec!["leaf", "work", "main"], vec!["operator new (x)", "main"]]);
        assert_eq!(profile.samples.iter().map(|s| s.value).collect::<Vec<_>>(), [30, 20]);
    }

    #[test]
    fn lines_without_counts_count_one_each() {
        let profile = read("a;b\na;b\n", false).unwrap();
        assert_eq!(profile.samples.iter().map(|s| s.value).sum::<i64>(), 20);
    }

    #[test]
    fn a_line_without_a_count_is_named_in_the_refusal() {
        for text in ["a;b 1\na;b", "a 1\nb x", "a 1\nb -1", "a 1\nb 9223372036854775807"] {
            assert!(read(text, true).is_err(), "{text:?}");
        }
        let message = read("a;b 1\na;b", true).unwrap_err().to_string();
        assert!(message.contains("line 2"), "{message}");
    }
}
