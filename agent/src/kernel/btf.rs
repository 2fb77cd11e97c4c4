//! Where the kernel keeps the fields of its structures, as `/sys/kernel/btf/vmlinux` tells.
//! Format: `Documentation/bpf/btf.rst` of the kernel's sources.

use std::{fs::File, io, io::Read as _};

/// The kernel's own types. A kernel with everything built in has some 6 MB of them.
const PATH: &str = "/sys/kernel/btf/vmlinux";
const MAX_BYTES: u64 = 64 << 20;

const MAGIC: u16 = 0xeb9f;
const KIND_POINTER: u32 = 2;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_TYPEDEF: u32 = 8;
const KIND_FUNCTION: u32 = 13;
/// Bytes of a type without what follows it.
const TYPE_BYTES: usize = 12;

/// The kernel's own types.
pub(super) struct Types {
    bytes: Vec<u8>,
    names: usize,
    /// Where each type begins, in order of their numbers; the first has number 1.
    starts: Vec<usize>,
}

/// How deep a field may lie in structures without a name.
const MAX_NESTED: usize = 8;

impl Types {
    /// Reads them; `None` where the kernel tells none.
    pub(super) fn read() -> Option<Self> {
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            File::open(PATH)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        Self::parse(read().ok()?)
    }

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        let mut types = Self { bytes, names: 0, starts: Vec::new() };
        if u16::from_ne_bytes(types.bytes.get(..2)?.try_into().ok()?) != MAGIC {
            return None;
        }
        let header = types.place(4)?;
        let mut at = header.checked_add(types.place(8)?)?;
        let end = at.checked_add(types.place(12)?)?;
        types.names = header.checked_add(types.place(16)?)?;
        while at < end {
            let (kind, members) = types.shape(at)?;
            types.starts.push(at);
            at = at.checked_add(TYPE_BYTES)?.checked_add(bytes_behind(kind, members)?)?;
        }
        Some(types)
    }

    /// Byte of a structure where a field begins; `None` where it can't be known.
    pub(super) fn field_offset(&self, structure: &str, field: &str) -> Option<u64> {
        let is_it = |at: &&usize| {
            let is_structure = matches!(self.shape(**at), Some((KIND_STRUCT, _)));
            is_structure && self.is_named(**at, structure) == Some(true)
        };
        let at = *self.starts.iter().find(is_it)?;
        Some(u64::from(self.field_bits(at, field, 0)? / 8))
    }

    /// Whether a tracepoint tells something of this name as its argument number `position`, from 0.
    pub(super) fn tracepoint_tells(&self, tracepoint: &str, position: usize, name: &str) -> bool {
        self.argument_is(&format!("btf_trace_{tracepoint}"), position, name) == Some(true)
    }

    /// A tracepoint is a name for a pointer to a function, whose first argument is the kernel's own.
    fn argument_is(&self, typedef: &str, position: usize, name: &str) -> Option<bool> {
        let is_it = |at: &&usize| {
            let is_typedef = matches!(self.shape(**at), Some((KIND_TYPEDEF, _)));
            is_typedef && self.is_named(**at, typedef) == Some(true)
        };
        let mut at = *self.starts.iter().find(is_it)?;
        for kind in [KIND_POINTER, KIND_FUNCTION] {
            at = *self.starts.get(self.place(at + 8)?.checked_sub(1)?)?;
            if self.shape(at)?.0 != kind {
                return None;
            }
        }
        let (_, arguments) = self.shape(at)?;
        let wanted = position.checked_add(1).filter(|wanted| *wanted < arguments)?;
        self.is_named(at + TYPE_BYTES + wanted * 8, name)
    }

    /// Looks through structures and unions without a name as the C language does.
    fn field_bits(&self, at: usize, field: &str, depth: usize) -> Option<u32> {
        let (kind, members) = self.shape(at)?;
        if !matches!(kind, KIND_STRUCT | KIND_UNION) || depth > MAX_NESTED {
            return None;
        }
        // The highest bit of `info`: a bit field's size is in the upper byte.
        let mask = if self.u32_at(at + 4)? >> 31 == 1 { 0xff_ffff } else { u32::MAX };
        (0..members).find_map(|number| {
            let member = at + TYPE_BYTES + number * 12;
            let bits = self.u32_at(member + 8)? & mask;
            if self.is_named(member, field)? {
                return Some(bits);
            }
            let is_unnamed = self.u32_at(member)? == 0;
            let of = self.place(member + 4)?.checked_sub(1).filter(|_| is_unnamed)?;
            Some(bits + self.field_bits(*self.starts.get(of)?, field, depth + 1)?)
        })
    }

    fn u32_at(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    }

    fn place(&self, at: usize) -> Option<usize> {
        usize::try_from(self.u32_at(at)?).ok()
    }

    /// Kind of a type, and how many members it has.
    fn shape(&self, at: usize) -> Option<(u32, usize)> {
        let info = self.u32_at(at.checked_add(4)?)?;
        Some((info >> 24 & 0x1f, usize::try_from(info & 0xffff).ok()?))
    }

    /// Whether a type or member has this name, which is the first thing that it tells.
    fn is_named(&self, at: usize, wanted: &str) -> Option<bool> {
        let name = self.names.checked_add(self.place(at)?)?;
        let text = self.bytes.get(name..)?.split(|byte| *byte == 0).next()?;
        Some(text == wanted.as_bytes())
    }
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

    fn find(bytes: &[u8], structure: &str, field: &str) -> Option<u64> {
        Types::parse(bytes.to_vec())?.field_offset(structure, field)
    }

    /// A file with an integer and two structures, the second with two fields and a structure that
    /// has no name.
    fn file() -> Vec<u8> {
        let names = b"\0int\0other\0task\0flags\0stack\0btf_trace_fork\0";
        let name = |wanted: &[u8]| {
            let at = names.windows(wanted.len()).position(|window| window == wanted);
            u32::try_from(at.expect("there")).expect("small")
        };
        let mut types: Vec<u32> = vec![name(b"int\0"), 1 << 24, 4, 0x20];
        types.extend([name(b"other\0"), 4 << 24, 0]);
        types.extend([name(b"task\0"), 4 << 24 | 3, 16]);
        types.extend([name(b"flags\0"), 1, 0, name(b"stack\0"), 1, 64, 0, 4, 128]);
        types.extend([0, 5 << 24 | 1, 8, name(b"int\0"), 1, 32]);
        types.extend([0, 13 << 24 | 2, 0, 0, 1, name(b"task\0"), 1]);
        types.extend([0, 2 << 24, 5, name(b"btf_trace_fork\0"), 8 << 24, 6]);
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
        assert_eq!(find(&file(), "task", "int"), Some(20), "through a union without a name");
        assert_eq!(find(&file(), "task", "sta"), None);
        assert_eq!(find(&file(), "other", "stack"), None);
    }

    #[test]
    fn a_tracepoint_s_arguments_are_counted_without_the_kernel_s_own() {
        let types = Types::parse(file()).expect("right");
        assert!(types.tracepoint_tells("fork", 0, "task"));
        assert!(!types.tracepoint_tells("fork", 1, "task"));
        assert!(!types.tracepoint_tells("fork", 0, "flags"));
        assert!(!types.tracepoint_tells("exec", 0, "task"));
    }

    #[test]
    fn a_file_cut_anywhere_is_no_reason_to_panic() {
        let file = file();
        for length in 0..file.len() {
            find(&file[..length], "task", "stack");
            find(&file[..length], "nothing", "at all");
            let types = Types::parse(file[..length].to_vec());
            let _either = types.map(|types| types.tracepoint_tells("fork", 0, "task"));
        }
    }
}
