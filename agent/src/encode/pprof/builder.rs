//! The tables of one pprof profile: every string, file, function and location once, numbered in the
//! order in which they are first met, so that equal input gives equal bytes.

use std::hash::Hash;

use rustc_hash::FxHashMap;

use super::proto;
use crate::aggregate::{Binary, Location};
use crate::encode::frame::unknown_name;
use crate::symbol::{Function, Symbol};

#[derive(Default)]
pub(super) struct Builder<'a> {
    strings: FxHashMap<String, i64>,
    binaries: FxHashMap<&'a Binary, u64>,
    functions: FxHashMap<FunctionKey, u64>,
    locations: FxHashMap<LocationKey, u64>,
    /// Locations that were met before, by where they lie in memory: saves building their key.
    known: FxHashMap<*const Location, u64>,
    profile: proto::Profile,
}

/// Name, name in the symbol table and file, as string indices.
type FunctionKey = (i64, i64, i64);

#[derive(PartialEq, Eq, Hash)]
struct LocationKey {
    mapping_id: u64,
    address: u64,
    lines: Vec<proto::Line>,
}

impl<'a> Builder<'a> {
    pub(super) fn new() -> Self {
        let mut builder = Self::default();
        builder.string("");
        builder
    }

    pub(super) fn string(&mut self, text: &str) -> i64 {
        if let Some(&index) = self.strings.get(text) {
            return index;
        }
        let index = clamp(self.strings.len() as u64);
        self.strings.insert(text.to_owned(), index);
        index
    }

    pub(super) fn value_type(&mut self, kind: &str, unit: &str) -> proto::ValueType {
        proto::ValueType { r#type: self.string(kind), unit: self.string(unit) }
    }

    pub(super) fn text_label(&mut self, key: &str, value: &str) -> proto::Label {
        proto::Label { key: self.string(key), str: self.string(value), num: 0 }
    }

    pub(super) fn number_label(&mut self, key: &str, value: u32) -> proto::Label {
        proto::Label { key: self.string(key), str: 0, num: i64::from(value) }
    }

    /// The id of a location; the same for locations that are the same by value.
    pub(super) fn location(&mut self, location: &'a Location) -> u64 {
        if let Some(&id) = self.known.get(&std::ptr::from_ref(location)) {
            return id;
        }
        let address = location.address.0;
        let mapping_id = location.binary.as_ref().map_or(0, |binary| self.mapping(binary));
        let lines = self.lines(location);
        if mapping_id != 0 {
            self.note_use(mapping_id, address, &location.symbol);
        }
        let id = self.location_of(LocationKey { mapping_id, address, lines });
        self.known.insert(location, id);
        id
    }

    /// The id of a frame that is only a name: no file, no address.
    pub(super) fn named_location(&mut self, name: &str) -> u64 {
        let line = proto::Line { function_id: self.function(name, name, ""), line: 0 };
        self.location_of(LocationKey { mapping_id: 0, address: 0, lines: vec![line] })
    }

    pub(super) fn sample(
        &mut self,
        leaf_first: Vec<u64>,
        value: Vec<i64>,
        label: Vec<proto::Label>,
    ) {
        self.profile.sample.push(proto::Sample { location_id: leaf_first, value, label });
    }

    /// The profile with its tables; `header` is what has no table: times, types, period.
    pub(super) fn finish(self, header: proto::Profile) -> proto::Profile {
        let mut string_table = vec![String::new(); self.strings.len()];
        for (text, index) in self.strings {
            let slot = usize::try_from(index).ok().and_then(|index| string_table.get_mut(index));
            *slot.expect("indices count up from 0, one for each string") = text;
        }
        let sample_type = header.sample_type;
        proto::Profile {
            sample_type,
            string_table,
            time_nanos: header.time_nanos,
            duration_nanos: header.duration_nanos,
            period_type: header.period_type,
            period: header.period,
            ..self.profile
        }
    }

    fn mapping(&mut self, binary: &'a Binary) -> u64 {
        if let Some(&id) = self.binaries.get(binary) {
            return id;
        }
        let id = next_id(&self.profile.mapping);
        let (filename, build_id) = (self.string(&binary.path), self.string(&binary.build_id));
        self.profile.mapping.push(proto::Mapping { id, filename, build_id, ..Default::default() });
        self.binaries.insert(binary, id);
        id
    }

    /// Widens the mapping to the address and notes what is known in it: the flags say that something
    /// of the kind was found, which is also what stops readers from looking for symbols themselves.
    fn note_use(&mut self, mapping_id: u64, address: u64, symbol: &Symbol) {
        let mapping = usize::try_from(mapping_id - 1).ok();
        let mapping = mapping.and_then(|index| self.profile.mapping.get_mut(index));
        let mapping = mapping.expect("ids are given out by `mapping`, counting from 1");
        mapping.memory_limit = mapping.memory_limit.max(address.saturating_add(1));
        if let Symbol::Known(functions) = symbol {
            mapping.has_functions = true;
            mapping.has_filenames |= functions.iter().any(|function| function.file.is_some());
            mapping.has_line_numbers |= functions.iter().any(|function| function.line > 0);
            mapping.has_inline_frames |= functions.len() > 1;
        }
    }

    fn lines(&mut self, location: &Location) -> Vec<proto::Line> {
        match &location.symbol {
            Symbol::Known(functions) => functions.iter().map(|known| self.line(known)).collect(),
            Symbol::Unknown(reason) => {
                let name = unknown_name(location, *reason);
                vec![proto::Line { function_id: self.function(&name, &name, ""), line: 0 }]
            }
        }
    }

    fn line(&mut self, known: &Function) -> proto::Line {
        let file = known.file.as_deref().unwrap_or("");
        let function_id = self.function(&known.name, &known.system_name, file);
        proto::Line { function_id, line: i64::from(known.line) }
    }

    fn function(&mut self, name: &str, system_name: &str, file: &str) -> u64 {
        let key = (self.string(name), self.string(system_name), self.string(file));
        let table = &mut self.profile.function;
        *self.functions.entry(key).or_insert_with(|| {
            let id = next_id(table);
            let (name, system_name, filename) = key;
            table.push(proto::Function { id, name, system_name, filename });
            id
        })
    }

    fn location_of(&mut self, key: LocationKey) -> u64 {
        if let Some(&id) = self.locations.get(&key) {
            return id;
        }
        let id = next_id(&self.profile.location);
        let LocationKey { mapping_id, address, ref lines } = key;
        let line = lines.clone();
        self.profile.location.push(proto::Location { id, mapping_id, address, line });
        self.locations.insert(key, id);
        id
    }
}

fn next_id<T>(table: &[T]) -> u64 {
    table.len() as u64 + 1
}

/// pprof counts in `i64`; what does not fit is shown as the largest value, never as a negative one.
pub(super) fn clamp(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
