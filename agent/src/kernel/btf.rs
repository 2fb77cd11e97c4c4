//! Where the kernel keeps the fields of its structures, as `/sys/kernel/btf/vmlinux` tells.
//! Format: `Documentation/bpf/btf.rst` of the kernel's sources.

use std::{fs::File, io, io::Read as _};

/// The kernel's own types. A kernel with everything built in has some 6 MB of them.
const PATH: &str = "/sys/kernel/btf/vmlinux";
const MAX_BYTES: u64 = 64 << 20;

const MAGIC: u16 = 0xeb9f;
const KIND_STRUCT: u32 = 4;
/// Bytes of a type without what follows it.
const TYPE_BYTES: usize = 12;

/// Byte of a structure where one of its own fields begins; `None` where it can't be known.
pub(super) fn field_offset(structure: &str, field: &str) -> Option<u64> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(PATH)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    find(&read().ok()?, structure, field)
}

fn find(bytes: &[u8], structure: &str, field: &str) -> Option<u64> {
    let u32_at = |at: usize| {
        let bytes = bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let place = |at: usize| usize::try_from(u32_at(at)?).ok();
    if u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?) != MAGIC {
        return None;
    }
    let header = place(4)?;
    let types = header.checked_add(place(8)?)?;
    let end = types.checked_add(place(12)?)?;
    let names = header.checked_add(place(16)?)?;
    let named = |name: u32, wanted: &str| {
        let at = names.checked_add(usize::try_from(name).ok()?)?;
        let text = bytes.get(at..)?.split(|byte| *byte == 0).next()?;
        Some(text == wanted.as_bytes())
    };
    let mut at = types;
    while at < end {
        let info = u32_at(at.checked_add(4)?)?;
        let (kind, members) = (info >> 24 & 0x1f, usize::try_from(info & 0xffff).ok()?);
        let rest = at.checked_add(TYPE_BYTES)?;
        if kind == KIND_STRUCT && named(u32_at(at)?, structure)? {
            let member = (0..members)
                .map(|number| rest + number * 12)
                .find(|member| u32_at(*member).and_then(|name| named(name, field)) == Some(true))?;
            let offset = u32_at(member + 8)?;
            // The highest bit of `info`: a bit field's size is in the upper byte.
            let bits = if info >> 31 == 1 { offset & 0xff_ffff } else { offset };
            return Some(u64::from(bits / 8));
        }
        at = rest.checked_add(bytes_behind(kind, members)?)?;
    }
    None
}

/// Bytes that follow a type of so many members.
fn bytes_behind(kind: u32, members: usize) -> Option<usize> {
    Some(match kind {
        1 | 14 | 17 => 4,                // INT, VAR, DECL_TAG
        2 | 7..=12 | 16 | 18 => 0, // pointers, forward declarations, names, qualifiers, FUNC, FLOAT
        3 => 12,                   // ARRAY
        4 | 5 | 15 | 19 => members * 12, // STRUCT, UNION, DATASEC, ENUM64
        6 | 13 => members * 8,     // ENUM, FUNC_PROTO
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with an integer and two structures, the second with two fields.
    fn file() -> Vec<u8> {
        let names = b"\0int\0other\0task\0flags\0stack\0";
        let name = |wanted: &[u8]| {
            let at = names.windows(wanted.len()).position(|window| window == wanted);
            u32::try_from(at.expect("there")).expect("small")
        };
        let mut types: Vec<u32> = vec![name(b"int\0"), 1 << 24, 4, 0x20];
        types.extend([name(b"other\0"), 4 << 24, 0]);
        types.extend([name(b"task\0"), 4 << 24 | 2, 16]);
        types.extend([name(b"flags\0"), 1, 0, name(b"stack\0"), 1, 64]);
        let size = u32::try_from(types.len() * 4).expect("small");
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        let length = u32::try_from(names.len()).expect("small");
        for word in [24, 0, size, size, length].into_iter().chain(types) {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(names);
        bytes
    }

    #[test]
    fn a_field_of_a_structure_is_found_where_it_is() {
        assert_eq!(find(&file(), "task", "stack"), Some(8));
        assert_eq!(find(&file(), "task", "flags"), Some(0));
        assert_eq!(find(&file(), "task", "sta"), None);
        assert_eq!(find(&file(), "other", "stack"), None);
    }

    #[test]
    fn a_file_cut_anywhere_is_no_reason_to_panic() {
        let file = file();
        for length in 0..file.len() {
            find(&file[..length], "task", "stack");
            find(&file[..length], "nothing", "at all");
        }
    }
}
