//! Turns a prepared push into rows: its samples, and the symbols that are not known yet.

use rustc_hash::FxHashSet;

use super::memtable::SampleRow;
use super::push::PreparedProfile;
use super::symbols::{Dictionary, FunctionRow, LocationRow, StackRow, SymbolRows, Symbols};

/// The samples of a profile as rows.
pub(super) fn sample_rows(profile: &PreparedProfile) -> impl Iterator<Item = SampleRow> {
    profile.sums.iter().map(|sum| SampleRow {
        stack: sum.stack,
        series: profile.series[sum.series as usize].id.0,
        unix_ms: profile.profile.start_unix_ms,
        value: sum.value,
    })
}

/// Adds to `rows` what a profile names and the tables do not have yet.
pub(super) fn new_symbols(
    dictionary: &Dictionary,
    symbols: &Symbols,
    prepared: &PreparedProfile,
    rows: &mut SymbolRows,
) {
    let profile = &prepared.profile;
    for series in &prepared.series {
        if symbols.series_by_id(series.id).is_none() {
            rows.series.push(series.clone());
        }
    }
    let mut wanted: FxHashSet<u32> = FxHashSet::default();
    for sum in prepared.sums.iter().filter(|sum| !symbols.has_stack(sum.stack)) {
        let stack = &profile.samples[sum.sample as usize].stack;
        let locations = stack.iter().map(|&at| prepared.locations[at as usize]).collect();
        rows.stacks.push(StackRow { hash: sum.stack, locations });
        wanted.extend(stack);
    }
    let mut functions: FxHashSet<u32> = FxHashSet::default();
    for at in wanted {
        let hash = prepared.locations[at as usize];
        if dictionary.has_location(hash) {
            continue;
        }
        let location = &profile.locations[at as usize];
        functions.extend(&location.frames);
        rows.locations.push(LocationRow {
            hash,
            address: location.address,
            binary: location.binary.clone(),
            build_id: location.build_id.clone(),
            functions: location.frames.iter().map(|&f| prepared.functions[f as usize]).collect(),
            lines: location.lines.clone(),
        });
    }
    for at in functions {
        let hash = prepared.functions[at as usize];
        if !dictionary.has_function(hash) {
            let frame = &profile.frames[at as usize];
            rows.functions.push(FunctionRow {
                hash,
                name: frame.name.clone(),
                system_name: frame.system_name.clone(),
                file: frame.file.clone(),
            });
        }
    }
}
