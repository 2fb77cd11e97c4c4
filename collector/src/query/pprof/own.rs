//! This program's own stacks as a pprof profile: names only.

use std::time::Duration;

use prost::Message;
use rustc_hash::FxHashMap;

use super::schema as pb;

/// A stack of this program.
#[derive(Clone, Debug)]
pub struct OwnStack {
    /// Function names, leaf first.
    pub names: Vec<String>,
    /// How often it was seen.
    pub count: i64,
}

/// Encodes stacks, not compressed.
pub fn encode_own(
    stacks: impl Iterator<Item = OwnStack>,
    period_ns: i64,
    length: Duration,
) -> Vec<u8> {
    let strings = ["", "samples", "count", "cpu", "nanoseconds"].map(str::to_owned).to_vec();
    let mut profile = pb::Profile {
        string_table: strings,
        sample_type: vec![
            pb::ValueType { r#type: 1, unit: 2 },
            pb::ValueType { r#type: 3, unit: 4 },
        ],
        period_type: Some(pb::ValueType { r#type: 3, unit: 4 }),
        period: period_ns,
        duration_nanos: i64::try_from(length.as_nanos()).unwrap_or(i64::MAX),
        ..pb::Profile::default()
    };
    let mut known = FxHashMap::default();
    for OwnStack { names, count } in stacks {
        let ids = names.into_iter().map(|name| location(&mut profile, &mut known, name)).collect();
        let value = vec![count, count.saturating_mul(period_ns)];
        profile.sample.push(pb::Sample { location_id: ids, value });
    }
    profile.encode_to_vec()
}

fn location(profile: &mut pb::Profile, known: &mut FxHashMap<String, u64>, name: String) -> u64 {
    if let Some(&id) = known.get(&name) {
        return id;
    }
    let id = known.len() as u64 + 1;
    let at = i64::try_from(profile.string_table.len()).unwrap_or(0);
    profile.string_table.push(name.clone());
    known.insert(name, id);
    let function = pb::Function { id, name: at, system_name: at, ..pb::Function::default() };
    profile.function.push(function);
    let line = vec![pb::Line { function_id: id, line: 0 }];
    profile.location.push(pb::Location { id, line, ..pb::Location::default() });
    id
}
