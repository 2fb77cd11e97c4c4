//! Merged stacks as a pprof profile: mappings, build ids, addresses and inlined lines are kept.

use prost::Message;
use rustc_hash::FxHashMap;

use crate::store::{FrameId, FunctionId, LocationId, StackId, SymbolsView};

mod schema;

use schema as pb;

/// What the numbers of an encoded profile mean.
#[derive(Clone, Copy, Debug)]
pub struct Meaning<'a> {
    /// `cpu`
    pub sample_type: &'a str,
    /// `nanoseconds`
    pub sample_unit: &'a str,
    /// `cpu`
    pub period_type: &'a str,
    /// `nanoseconds`
    pub period_unit: &'a str,
    /// What one event stands for; 0 where unknown or mixed.
    pub period: i64,
    /// Start of the range, in milliseconds since 1970.
    pub from_ms: i64,
    /// Length of the range in milliseconds.
    pub length_ms: i64,
}

/// Encodes stacks, not compressed.
#[must_use]
pub fn encode(stacks: &[(StackId, i64)], symbols: &SymbolsView, meaning: Meaning<'_>) -> Vec<u8> {
    let mut encoder = Encoder::new(symbols);
    let sample_type = encoder.value_type(meaning.sample_type, meaning.sample_unit);
    let period_type = encoder.value_type(meaning.period_type, meaning.period_unit);
    let mut locations = Vec::new();
    for &(stack, value) in stacks {
        symbols.locations(stack, &mut locations);
        let mut location_ids: Vec<u64> = locations.iter().map(|&id| encoder.location(id)).collect();
        if locations.is_empty() {
            location_ids = encoder.without_location(stack);
        }
        encoder.profile.sample.push(pb::Sample { location_id: location_ids, value: vec![value] });
    }
    let profile = pb::Profile {
        sample_type: vec![sample_type],
        period_type: Some(period_type),
        period: meaning.period,
        time_nanos: meaning.from_ms.saturating_mul(1_000_000),
        duration_nanos: meaning.length_ms.saturating_mul(1_000_000),
        ..encoder.profile
    };
    profile.encode_to_vec()
}

struct Encoder<'a> {
    symbols: &'a SymbolsView,
    profile: pb::Profile,
    strings: FxHashMap<String, i64>,
    mappings: FxHashMap<(String, String), u64>,
    functions: FxHashMap<FunctionId, u64>,
    locations: FxHashMap<LocationId, u64>,
    lost: FxHashMap<FrameId, u64>,
}

impl<'a> Encoder<'a> {
    fn new(symbols: &'a SymbolsView) -> Self {
        let mut encoder = Self {
            symbols,
            profile: pb::Profile::default(),
            strings: FxHashMap::default(),
            mappings: FxHashMap::default(),
            functions: FxHashMap::default(),
            locations: FxHashMap::default(),
            lost: FxHashMap::default(),
        };
        // The format wants the empty string first.
        encoder.string("");
        encoder
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(&known) = self.strings.get(text) {
            return known;
        }
        let at = i64::try_from(self.strings.len()).unwrap_or(0);
        self.strings.insert(text.to_owned(), at);
        self.profile.string_table.push(text.to_owned());
        at
    }

    fn value_type(&mut self, kind: &str, unit: &str) -> pb::ValueType {
        pb::ValueType { r#type: self.string(kind), unit: self.string(unit) }
    }

    fn location(&mut self, id: LocationId) -> u64 {
        if let Some(&known) = self.locations.get(&id) {
            return known;
        }
        let at = self.profile.location.len() as u64 + 1;
        self.locations.insert(id, at);
        let Some(location) = self.symbols.location(id) else {
            self.profile.location.push(pb::Location { id: at, ..pb::Location::default() });
            return at;
        };
        let mapping_id = self.mapping(&location.binary, &location.build_id);
        let lines = location.lines.iter();
        let line = lines
            .map(|line| pb::Line {
                function_id: self.function(line.function),
                line: i64::from(line.line),
            })
            .collect();
        let address = location.address;
        self.profile.location.push(pb::Location { id: at, mapping_id, address, line });
        at
    }

    /// A stack whose symbols are lost still says so, in one frame.
    fn without_location(&mut self, stack: StackId) -> Vec<u64> {
        let mut frames = Vec::new();
        self.symbols.frames(stack, &mut frames);
        frames.iter().rev().map(|&frame| self.lost_frame(frame)).collect()
    }

    fn lost_frame(&mut self, frame: FrameId) -> u64 {
        if let Some(&known) = self.lost.get(&frame) {
            return known;
        }
        let name = self.symbols.frame(frame).map_or("[symbol lost]", |frame| &frame.name);
        let name = self.string(name);
        let function_id = self.profile.function.len() as u64 + 1;
        self.profile.function.push(pb::Function { id: function_id, name, ..Default::default() });
        let id = self.profile.location.len() as u64 + 1;
        let line = vec![pb::Line { function_id, line: 0 }];
        self.profile.location.push(pb::Location { id, line, ..pb::Location::default() });
        self.lost.insert(frame, id);
        id
    }

    fn mapping(&mut self, binary: &str, build_id: &str) -> u64 {
        if binary.is_empty() && build_id.is_empty() {
            return 0;
        }
        let key = (binary.to_owned(), build_id.to_owned());
        if let Some(&known) = self.mappings.get(&key) {
            return known;
        }
        let id = self.mappings.len() as u64 + 1;
        self.mappings.insert(key, id);
        let filename = self.string(binary);
        let build_id = self.string(build_id);
        // Addresses are the file's own, so one mapping from 0 holds them all.
        self.profile.mapping.push(pb::Mapping {
            id,
            memory_limit: u64::MAX,
            filename,
            build_id,
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
            ..pb::Mapping::default()
        });
        id
    }

    fn function(&mut self, id: FunctionId) -> u64 {
        if let Some(&known) = self.functions.get(&id) {
            return known;
        }
        let at = self.profile.function.len() as u64 + 1;
        self.functions.insert(id, at);
        let function = self.symbols.function(id);
        let name = self.string(function.map_or("[symbol lost]", |function| &function.name));
        let system_name = function.map_or("", |function| &function.system_name);
        let system_name = if system_name.is_empty() { name } else { self.string(system_name) };
        let filename = self.string(function.map_or("", |function| &function.file));
        self.profile.function.push(pb::Function { id: at, name, system_name, filename });
        at
    }
}
