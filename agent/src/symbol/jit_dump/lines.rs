//! Source lines of one compiled function, read from their record when they are asked for.
//!
//! ```text
//!  record: id, size, time │ code address, count │ entry │ entry │ …
//!                                          entry: address, line, column, name of the file, NUL
//! ```
//!
//! An entry holds from its address on to that of the next one. A name `\xff` stands for the one before.

use std::fs::File;
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

/// File and line of an address, as the record counts addresses, of code that was loaded at `code`.
pub(super) fn find(file: &File, record: u64, address: u64, code: u64) -> Option<(String, u32)> {
    let mut head = [0; RECORD_BYTES + HEAD_BYTES];
    file.read_exact_at(&mut head, record).ok()?;
    let (start, body) = head.split_first_chunk()?;
    let start = Record::parse(start);
    if start.id != Record::DEBUG_INFO || u64_at(body, 0) != code {
        return None;
    }
    let mut bytes = vec![0; (start.size as usize).checked_sub(head.len())?.min(MAX_BYTES)];
    let read = file.read_at(&mut bytes, record + head.len() as u64).ok()?;
    let (name, line) = last_before(&bytes[..read], u64_at(body, 8), address)?;
    Some((String::from_utf8_lossy(name).into_owned(), line))
}

/// The entry with the highest address that is not above `address`: compilers move code, so entries
/// may come in another order.
fn last_before(bytes: &[u8], count: u64, address: u64) -> Option<(&[u8], u32)> {
    let (mut rest, mut name) = (bytes, &bytes[..0]);
    let mut best: Option<(u64, &[u8], u32)> = None;
    for _ in 0..count {
        let Some((entry, tail)) = rest.split_at_checked(ENTRY_BYTES) else { break };
        let Some(length) = tail.iter().position(|byte| *byte == 0) else { break };
        if &tail[..length] != SAME_NAME {
            name = &tail[..length];
        }
        rest = &tail[length + 1..];
        let (at, line) = (u64_at(entry, 0), u32_at(entry, 8));
        if at <= address && best.is_none_or(|(best, ..)| best <= at) {
            best = Some((at, name, line));
        }
    }
    best.map(|(_, name, line)| (name, line)).filter(|(name, _)| !name.is_empty())
}
