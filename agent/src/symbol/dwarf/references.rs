//! Names of functions that one unit takes from others, as compilers leave them when they optimise
//! across units: a unit can only be read together with those.

use std::collections::BTreeSet;

use gimli::{AttributeValue, Dwarf, UnitOffset, UnitRef, constants};

use super::index::UnitIndex;
use super::reader::SectionReader;
use super::sections::{Sections, UnitPlace};

/// How often a name may be said to stand elsewhere.
const MAX_STEPS: usize = 16;

/// The unit at `place` and all that it takes names from.
pub(super) fn closure(
    sections: &Sections,
    index: &UnitIndex,
    place: UnitPlace,
) -> gimli::Result<Box<[UnitPlace]>> {
    let mut needed = BTreeSet::from([place]);
    let mut origins = BTreeSet::new();
    let dwarf = sections.unit(place)?;
    collect_origins(&dwarf, &mut origins)?;
    let mut units = Units { sections, index, open: None };
    for origin in origins {
        let mut next = Some(origin);
        for _ in 0..MAX_STEPS {
            let Some(place) = next.and_then(|origin| index.unit_around(origin)) else { break };
            needed.insert(place);
            next = units.origin_of(place, next.unwrap_or_default())?;
        }
    }
    Ok(needed.into_iter().collect())
}

/// Where in `.debug_info` functions of the only unit of `dwarf`, and those inlined in them, have
/// their names, if in another unit.
fn collect_origins(
    dwarf: &Dwarf<SectionReader>,
    origins: &mut BTreeSet<usize>,
) -> gimli::Result<()> {
    let Some(header) = dwarf.units().next()? else { return Ok(()) };
    let unit = dwarf.unit(header)?;
    let unit = UnitRef::new(dwarf, &unit);
    let mut entries = unit.entries_raw(None)?;
    while !entries.is_empty() {
        let Some(abbreviation) = entries.read_abbreviation()? else { continue };
        let is_function = matches!(
            abbreviation.tag(),
            constants::DW_TAG_subprogram | constants::DW_TAG_inlined_subroutine
        );
        if !is_function {
            entries.skip_attributes(abbreviation.attributes())?;
            continue;
        }
        for attribute in abbreviation.attributes() {
            if let AttributeValue::DebugInfoRef(at) = entries.read_attribute(*attribute)?.value() {
                origins.insert(at.0);
            }
        }
    }
    Ok(())
}

/// Units that are asked for an entry each, mostly several times in a row.
struct Units<'a> {
    sections: &'a Sections,
    index: &'a UnitIndex,
    open: Option<(UnitPlace, Dwarf<SectionReader>, gimli::Unit<SectionReader>)>,
}

impl Units<'_> {
    /// Where the function that the entry at `origin` describes has its name, if in another unit.
    fn origin_of(&mut self, place: UnitPlace, origin: usize) -> gimli::Result<Option<usize>> {
        if self.open.as_ref().is_none_or(|(open, ..)| *open != place) {
            let dwarf = self.sections.unit(place)?;
            let Some(header) = dwarf.units().next()? else { return Ok(None) };
            let unit = dwarf.unit(header)?;
            self.open = Some((place, dwarf, unit));
        }
        let Some((_, dwarf, unit)) = &self.open else { return Ok(None) };
        let unit = UnitRef::new(dwarf, unit);
        let mut offset = UnitOffset(origin.saturating_sub(place.start as usize));
        for _ in 0..MAX_STEPS {
            match named_elsewhere(unit, offset)? {
                Some(AttributeValue::UnitRef(next)) => offset = next,
                Some(AttributeValue::DebugInfoRef(next))
                    if self.index.unit_around(next.0).is_some() =>
                {
                    return Ok(Some(next.0));
                }
                _ => break,
            }
        }
        Ok(None)
    }
}

/// What an entry without a name of its own refers to.
fn named_elsewhere(
    unit: UnitRef<'_, SectionReader>,
    offset: UnitOffset,
) -> gimli::Result<Option<AttributeValue<SectionReader>>> {
    let mut entries = unit.entries_raw(Some(offset))?;
    let Some(abbreviation) = entries.read_abbreviation()? else { return Ok(None) };
    let mut elsewhere = None;
    for attribute in abbreviation.attributes() {
        let attribute = entries.read_attribute(*attribute)?;
        match attribute.name() {
            constants::DW_AT_abstract_origin | constants::DW_AT_specification => {
                elsewhere = Some(attribute.value());
            }
            _ => {}
        }
    }
    Ok(elsewhere)
}
