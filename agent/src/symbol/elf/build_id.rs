//! The GNU build id: a hash of the file's contents that its linker left in a note.

use std::fmt::Write;
use std::sync::Arc;

use object::{Endian, Endianness};

use super::Section;
use crate::symbol::image::{FileRange, Image};

/// Notes are a few hundred bytes; core files have more, but nobody maps those as code.
const MAX_NOTES: u64 = 64 << 10;
/// SHA-1 has 20 bytes, the longest hash that linkers offer 32; some vendors write longer ones.
const MAX_BUILD_ID: usize = 64;
const NT_GNU_BUILD_ID: u32 = 3;

/// The build id in lower-case hex, or an empty string.
pub(super) fn find(
    image: &Image,
    endian: Endianness,
    notes: &[FileRange],
    sections: &[Section],
) -> Arc<str> {
    let section = sections.iter().find(|section| &*section.name == ".note.gnu.build-id");
    let section = section.filter(|section| section.has_bytes()).map(|section| section.file);
    // Segments first: they are what survives when sections are cut off.
    let found = notes.iter().copied().chain(section).find_map(|range| {
        let bytes = image.read(range, MAX_NOTES, "notes").ok()?;
        build_id_note(&bytes, endian).map(hex)
    });
    found.unwrap_or_default().into()
}

/// Walks notes: name size, description size and type, each 4 bytes, then name and description,
/// each padded to 4 bytes.
fn build_id_note(mut notes: &[u8], endian: Endianness) -> Option<&[u8]> {
    loop {
        let (header, rest) = notes.split_first_chunk::<12>()?;
        let word = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            endian.read_u32(bytes)
        };
        let (name, rest) = split_padded(rest, word(0))?;
        let (description, rest) = split_padded(rest, word(4))?;
        if word(8) == NT_GNU_BUILD_ID && name == b"GNU\0" {
            return (1..=MAX_BUILD_ID).contains(&description.len()).then_some(description);
        }
        notes = rest;
    }
}

fn split_padded(bytes: &[u8], size: u32) -> Option<(&[u8], &[u8])> {
    let size = usize::try_from(size).ok()?;
    let taken = bytes.get(..size)?;
    // The padding of the last note may be cut off.
    let rest = bytes.get(size.checked_next_multiple_of(4)?..).unwrap_or_default();
    Some((taken, rest))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(kind: u32, name: &[u8], description: &[u8]) -> Vec<u8> {
        let size = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short").to_le_bytes();
        let mut note = [size(name), size(description), kind.to_le_bytes()].concat();
        for part in [name, description] {
            note.extend_from_slice(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    #[test]
    fn the_build_id_is_found_behind_other_notes() {
        let notes = [note(1, b"GNU\0", &[0; 16]), note(3, b"GNU\0", &[0xab, 1, 2])].concat();
        let id = build_id_note(&notes, Endianness::Little).map(hex);
        assert_eq!(id.as_deref(), Some("ab0102"));
    }

    #[test]
    fn a_note_that_promises_more_than_there_is_has_no_build_id() {
        let mut notes = note(3, b"GNU\0", &[1; 20]);
        notes.truncate(30);
        assert_eq!(build_id_note(&notes, Endianness::Little), None);
    }

    #[test]
    fn an_endless_build_id_is_refused() {
        let notes = note(3, b"GNU\0", &[1; 65]);
        assert_eq!(build_id_note(&notes, Endianness::Little), None);
    }
}
