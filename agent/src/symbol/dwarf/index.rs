//! Which unit of a file's debug information has an address: all that is kept of a file between
//! lookups, some bytes for each piece of code instead of the parsed form of every unit.

use addr2line::Context;
use gimli::{Abbreviations, DebugAbbrevOffset, UnitType, constants};

use super::sections::{Sections, UnitPlace};

/// Pieces of code of one file; 16 MB.
const MAX_PIECES: usize = 1 << 20;

/// Units by address.
#[derive(Debug, Default)]
pub(super) struct UnitIndex {
    /// Address that pieces count from.
    base: u64,
    /// Sorted by end.
    pieces: Box<[Piece]>,
    units: Box<[UnitPlace]>,
}

/// A range of addresses that a unit has code at.
#[derive(Clone, Copy, Debug)]
struct Piece {
    begin: u32,
    end: u32,
    /// The smallest `begin` of this piece and all behind it.
    min_begin: u32,
    unit: u32,
}

/// What became of the attempt to make an index.
pub(super) enum Indexed {
    Index(UnitIndex),
    /// Units refer to another file, or reach too far: the file can only be looked at as a whole.
    Whole,
}

impl UnitIndex {
    /// Looks at each unit once, and keeps of it where its code is.
    pub(super) fn build(sections: &Sections) -> gimli::Result<Indexed> {
        let dwarf = sections.whole();
        let (mut ranges, mut units) = (Vec::new(), Vec::new());
        let mut forms = Forms::default();
        let mut headers = dwarf.units();
        while let Some(header) = headers.next()? {
            if let UnitType::Type { .. } | UnitType::SplitType { .. } = header.type_() {
                continue;
            }
            let Some(start) = header.debug_info_offset() else { continue };
            let place =
                u32::try_from(start.0).ok().zip(u32::try_from(header.length_including_self()).ok());
            let Some((start, size)) = place else { return Ok(Indexed::Whole) };
            let abbreviations = header.debug_abbrev_offset();
            let Ok(unit) = dwarf.unit(header) else { continue };
            let refers = forms.of(abbreviations, &unit.abbreviations);
            if refers == Refers::OtherFile {
                return Ok(Indexed::Whole);
            }
            let place = UnitPlace { start, size, alone: refers == Refers::Itself };
            let known = ranges.len();
            let number = u32::try_from(units.len()).unwrap_or(u32::MAX);
            let mut own = dwarf.unit_ranges(&unit)?;
            while let Some(range) = own.next()? {
                // The linker moved what it removed to address 0.
                if range.begin > 0 && range.begin < range.end {
                    ranges.push((range.begin, range.end, number));
                }
            }
            if ranges.len() == known && unit.line_program.is_some() {
                ranges.extend(lines(sections, place)?.map(|(b, e)| (b, e, number)));
            }
            if ranges.len() > MAX_PIECES {
                return Ok(Indexed::Whole);
            }
            units.push(place);
        }
        Ok(Self::new(ranges, units).map_or(Indexed::Whole, Indexed::Index))
    }

    /// None if the addresses lie too far apart.
    fn new(mut ranges: Vec<(u64, u64, u32)>, units: Vec<UnitPlace>) -> Option<Self> {
        let base = ranges.iter().map(|(begin, ..)| *begin).min().unwrap_or(0);
        ranges.sort_unstable_by_key(|&(begin, end, unit)| (unit, begin, end));
        // Functions of a unit that lie side by side are one piece.
        ranges.dedup_by(|next, last| {
            let touches = next.2 == last.2 && next.0 <= last.1;
            if touches {
                last.1 = last.1.max(next.1);
            }
            touches
        });
        ranges.sort_unstable_by_key(|&(_, end, unit)| (end, unit));
        let piece = |&(begin, end, unit): &(u64, u64, u32)| {
            let begin = u32::try_from(begin - base).ok()?;
            let end = u32::try_from(end - base).ok()?;
            Some(Piece { begin, end, min_begin: 0, unit })
        };
        let mut pieces: Box<[Piece]> = ranges.iter().map(piece).collect::<Option<_>>()?;
        let mut min_begin = u32::MAX;
        for piece in pieces.iter_mut().rev() {
            min_begin = min_begin.min(piece.begin);
            piece.min_begin = min_begin;
        }
        Some(Self { base, pieces, units: units.into() })
    }

    /// The units that say they have code at an address: mostly one.
    pub(super) fn find(&self, address: u64) -> impl Iterator<Item = UnitPlace> {
        let address = address.checked_sub(self.base).and_then(|a| u32::try_from(a).ok());
        let address = address.unwrap_or(u32::MAX);
        let first = self.pieces.partition_point(|piece| piece.end <= address);
        let candidates = self.pieces[first..].iter();
        candidates
            .take_while(move |piece| piece.min_begin <= address)
            .filter(move |piece| piece.begin <= address && address < piece.end)
            .filter_map(|piece| self.units.get(piece.unit as usize).copied())
    }

    /// The unit that has the byte at `offset` of `.debug_info`.
    pub(super) fn unit_around(&self, offset: usize) -> Option<UnitPlace> {
        let behind = self.units.partition_point(|unit| unit.start as usize <= offset);
        let unit = *self.units.get(behind.checked_sub(1)?)?;
        (offset - (unit.start as usize) < unit.size as usize).then_some(unit)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.pieces) + size_of_val(&*self.units)
    }
}

/// Code of a unit that does not say where it has some: by its lines.
fn lines(sections: &Sections, place: UnitPlace) -> gimli::Result<impl Iterator<Item = (u64, u64)>> {
    let context = Context::from_dwarf(sections.unit(place)?)?;
    let all = context.find_location_range(1, u64::MAX)?;
    let pieces: Vec<_> = all.map(|(begin, size, _)| (begin, begin.saturating_add(size))).collect();
    Ok(pieces.into_iter().filter(|(begin, end)| begin < end))
}

/// What the entries of a unit may refer to, by their forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Refers {
    Itself,
    OtherUnits,
    OtherFile,
}

#[derive(Default)]
struct Forms {
    /// Units of one compiler run share their abbreviations.
    last: Option<(DebugAbbrevOffset<usize>, Refers)>,
}

impl Forms {
    fn of(&mut self, at: DebugAbbrevOffset<usize>, abbreviations: &Abbreviations) -> Refers {
        match self.last {
            Some((last, refers)) if last == at => refers,
            _ => {
                let refers = refers(abbreviations);
                self.last = Some((at, refers));
                refers
            }
        }
    }
}

/// Compilers number abbreviations from 1 without gaps; what stands behind a gap is not looked at,
/// and if it refers to other units, names are missing.
fn refers(abbreviations: &Abbreviations) -> Refers {
    let all = (1..).map_while(|code| abbreviations.get(code));
    let forms = all.flat_map(gimli::Abbreviation::attributes);
    let refers = forms.map(|attribute| match attribute.form() {
        // Behind the second, the form is in each entry.
        constants::DW_FORM_ref_addr | constants::DW_FORM_indirect => Refers::OtherUnits,
        constants::DW_FORM_GNU_ref_alt
        | constants::DW_FORM_GNU_strp_alt
        | constants::DW_FORM_ref_sup4
        | constants::DW_FORM_ref_sup8
        | constants::DW_FORM_strp_sup => Refers::OtherFile,
        _ => Refers::Itself,
    });
    refers.max().unwrap_or(Refers::Itself)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(ranges: &[(u64, u64, u32)], address: u64) -> Vec<u32> {
        let places = (0..10).map(|start| UnitPlace { start, size: 1, alone: true }).collect();
        let index = UnitIndex::new(ranges.to_vec(), places).expect("small");
        index.find(address).map(|place| place.start).collect()
    }

    #[test]
    fn every_unit_around_an_address_is_found() {
        let ranges = [(0x1000, 0x9000, 0), (0x2000, 0x2010, 1), (0x2010, 0x2020, 1)];
        assert_eq!(units(&ranges, 0x2000), [1, 0]);
        assert_eq!(units(&ranges, 0x201f), [1, 0]);
        assert_eq!(units(&ranges, 0x2020), [0]);
        assert_eq!(units(&ranges, 0x9000), [] as [u32; 0]);
        assert_eq!(units(&ranges, 0xfff), [] as [u32; 0]);
        assert_eq!(units(&ranges, u64::MAX), [] as [u32; 0]);
    }

    #[test]
    fn pieces_that_touch_are_kept_as_one() {
        let ranges: Vec<_> = (0..1000).map(|i| (0x1000 + i * 16, 0x1010 + i * 16, 3)).collect();
        let index = UnitIndex::new(ranges, Vec::new()).expect("small");
        assert_eq!(index.pieces.len(), 1);
    }

    #[test]
    fn addresses_too_far_apart_are_refused() {
        assert!(UnitIndex::new(vec![(1, 2, 0), (1 << 40, (1 << 40) + 1, 0)], Vec::new()).is_none());
    }
}
