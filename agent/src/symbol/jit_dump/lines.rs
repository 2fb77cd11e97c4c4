//! Source lines of one compiled function, read from their record when they are asked for.
//!
//! ```text
//!  record: id, size, time │ code address, count │ entry │ entry │ …
//!                                          entry: address, line, column, name of the file, NUL
//! ```
//!
//! An entry holds from its address on to that of the next one. A name `\xff` stands for the one before.
//! V8 in Node.js 20 writes memory that it has freed where a name should be, in the name's length:
//! with zeros in it, so that the next entry is not behind the first of them.

use std::fs::File;
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt as _;

use super::record::{RECORD_BYTES, Record, u32_at, u64_at};

/// Bytes of a record before its entries, without what every record begins with.
pub(super) const HEAD_BYTES: usize = 16;
/// Bytes of an entry before its name.
const ENTRY_BYTES: usize = 16;
/// Bytes of a record that are looked at; those of large functions have some ten thousand.
const MAX_BYTES: usize = 1 << 20;
const SAME_NAME: &[u8] = b"\xff";

/// The code that the record is about.
pub(super) fn code_address(head: &[u8; HEAD_BYTES]) -> u64 {
    u64_at(head, 0)
}

/// What is looked for.
pub(super) struct Wanted<'a> {
    /// Where the function was loaded.
    pub(super) loaded: u64,
    /// Addresses of its code, as the record counts them.
    pub(super) code: RangeInclusive<u64>,
    /// One of them.
    pub(super) address: u64,
    /// The file that the function's name tells.
    pub(super) file: Option<&'a str>,
}

/// File and line of an address.
pub(super) fn find(file: &File, record: u64, wanted: &Wanted<'_>) -> Option<(String, u32)> {
    let mut head = [0; RECORD_BYTES + HEAD_BYTES];
    file.read_exact_at(&mut head, record).ok()?;
    let (start, body) = head.split_first_chunk()?;
    let start = Record::parse(start);
    if start.id != Record::DEBUG_INFO || u64_at(body, 0) != wanted.loaded {
        return None;
    }
    let mut bytes = vec![0; (start.size as usize).checked_sub(head.len())?.min(MAX_BYTES)];
    let read = file.read_at(&mut bytes, record + head.len() as u64).ok()?;
    let (name, line) = wanted.last_before(&bytes[..read], u64_at(body, 8))?;
    Some((name.to_owned(), line))
}

impl<'a> Wanted<'a> {
    /// The entry with the highest address that is not above ours: compilers move code, so entries may
    /// come in another order.
    fn last_before(&self, bytes: &'a [u8], count: u64) -> Option<(&'a str, u32)> {
        let (mut rest, mut name) = (bytes, &bytes[..0]);
        let mut best: Option<(u64, &[u8], u32)> = None;
        for _ in 0..count {
            let Some((entry, tail)) = rest.split_at_checked(ENTRY_BYTES) else { break };
            let at = u64_at(entry, 0);
            // Outside of the function this is no entry.
            let length = self.name_length(tail).filter(|_| self.code.contains(&at));
            let Some(length) = length else { break };
            if &tail[..length] != SAME_NAME {
                name = &tail[..length];
            }
            rest = &tail[length + 1..];
            if at <= self.address && best.is_none_or(|(best, ..)| best <= at) {
                best = Some((at, name, u32_at(entry, 8)));
            }
        }
        let (_, name, line) = best?;
        Some((text(name).or(self.file)?, line))
    }

    /// Length of the name that these bytes begin with, without the NUL.
    fn name_length(&self, bytes: &[u8]) -> Option<usize> {
        let length = bytes.iter().position(|byte| *byte == 0)?;
        let stated = self.file.map_or(0, str::len);
        let freed = length < stated
            && text(&bytes[..length]).is_none()
            && &bytes[..length] != SAME_NAME
            && bytes.get(stated) == Some(&0);
        Some(if freed { stated } else { length })
    }
}

/// A name that may be shown.
fn text(name: &[u8]) -> Option<&str> {
    let name = str::from_utf8(name).ok()?;
    (!name.is_empty() && !name.contains(char::is_control)).then_some(name)
}
