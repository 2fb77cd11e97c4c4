//! Files as runtimes write them, and as nobody should.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;

use super::*;

/// A file that is written and read at once.
struct Dump {
    written: tempfile::NamedTempFile,
    dump: JitDump,
}

impl Dump {
    fn new() -> Self {
        let written = tempfile::NamedTempFile::new().unwrap();
        let dump = JitDump::new(written.reopen().unwrap());
        Self { written, dump }
    }

    fn of(records: &[Vec<u8>]) -> Self {
        let mut dump = Self::new();
        dump.write(&header(0)).unwrap();
        for record in records {
            dump.write(record).unwrap();
        }
        dump
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), JitDumpError> {
        self.written.write_all(bytes).unwrap();
        self.dump.update()
    }

    /// Name, file and line.
    fn at(&self, address: u64) -> Option<(String, String, u32)> {
        match self.dump.symbolize(address) {
            Symbol::Known(functions) => {
                let Function { name, file, line, .. } = &functions[0];
                Some((name.to_string(), file.as_deref().unwrap_or("-").to_owned(), *line))
            }
            Symbol::Unknown(reason) => {
                assert_eq!(reason, UnknownReason::NotInJitDump);
                None
            }
        }
    }

    fn name(&self, address: u64) -> Option<String> {
        self.at(address).map(|(name, ..)| name)
    }
}

fn words(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

fn header(reserved: u32) -> Vec<u8> {
    let words = [0x4a69_5444, 1, 40, 62, reserved, 7, 0, 0, 0, 0_u32];
    words.into_iter().flat_map(u32::to_ne_bytes).collect()
}

fn record(id: u32, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(16 + body.len()).unwrap();
    [&id.to_ne_bytes()[..], &size.to_ne_bytes(), &9_u64.to_ne_bytes(), body].concat()
}

fn load(code: u64, size: u64, index: u64, name: &str) -> Vec<u8> {
    let machine_code = vec![0x90; usize::try_from(size.min(64)).unwrap()];
    let fixed = words(&[0, code, code, size, index]);
    record(0, &[&fixed[..], name.as_bytes(), &[0], &machine_code].concat())
}

fn moved(from: u64, to: u64, size: u64, index: u64) -> Vec<u8> {
    record(1, &words(&[0, to, from, to, size, index]))
}

fn debug_info(code: u64, entries: &[(u64, u32, &[u8])]) -> Vec<u8> {
    let mut body = words(&[code, entries.len() as u64]);
    for (address, line, name) in entries {
        body.extend(words(&[*address]));
        body.extend([*line, 3].into_iter().flat_map(u32::to_ne_bytes));
        body.extend([name, &[0][..]].concat());
    }
    record(2, &body)
}

#[test]
fn a_function_has_name_and_line_and_ends_where_its_code_does() {
    let lines: &[(u64, u32, &[u8])] =
        &[(0x100, 7, b"a.js"), (0x108, 9, b"\xff"), (0x10c, 2, b"b.js")];
    let dump = Dump::of(&[debug_info(0x100, lines), load(0x100, 0x10, 1, "f")]);
    let found = |file: &str, line| Some(("f".to_owned(), file.to_owned(), line));
    assert_eq!(dump.at(0x107), found("a.js", 7));
    assert_eq!(dump.at(0x108), found("a.js", 9));
    assert_eq!(dump.at(0x10f), found("b.js", 2));
    assert_eq!((dump.at(0x110), dump.at(0xff)), (None, None));
}

#[test]
fn lines_belong_to_the_load_that_follows_and_to_no_other() {
    let lines = |line| debug_info(0x100, &[(0x100, line, b"a.js")]);
    let dump = Dump::of(&[
        lines(7),
        load(0x200, 0x10, 1, "other"),
        load(0x100, 0x10, 2, "without"),
        lines(8),
        load(0x300, 0, 3, "empty"),
    ]);
    assert_eq!(dump.at(0x200), Some(("other".into(), "-".into(), 0)));
    assert_eq!(dump.at(0x100), Some(("without".into(), "-".into(), 0)));
}

#[test]
fn v8_s_lines_are_64_bytes_late() {
    let mut dump = Dump::new();
    dump.write(&header(0xdead_beef)).unwrap();
    dump.write(&debug_info(0x100, &[(0x140, 1, b"/a.js"), (0x148, 2, b"\xff")])).unwrap();
    dump.write(&load(0x100, 0x10, 1, "JS:*total /a.js:1:18")).unwrap();
    assert_eq!(dump.at(0x107), Some(("total".into(), "/a.js".into(), 1)));
    assert_eq!(dump.at(0x108), Some(("total".into(), "/a.js".into(), 2)));
}

#[test]
fn freed_memory_in_place_of_a_file_s_name_hides_neither_file_nor_line() {
    // As long as "/busy.js".
    let freed: &[&[u8]] = &[b"\xbc9\x03\0\0\xfa\xf7\x7f", b"\0\0\0\0\0\0\0\0", b"/busy.js"];
    for freed in freed {
        let lines = [(0x140, 1, *freed), (0x144, 3, freed), (0x148, 4, freed)];
        let mut dump = Dump::new();
        dump.write(&header(0xdead_beef)).unwrap();
        dump.write(&debug_info(0x100, &lines)).unwrap();
        dump.write(&load(0x100, 0x10, 1, "JS:^inner /busy.js:1:15")).unwrap();
        let lines = [0x100, 0x104, 0x10f].map(|address| dump.at(address).unwrap());
        let expected = [1, 3, 4].map(|line| ("inner".to_owned(), "/busy.js".to_owned(), line));
        assert_eq!(lines, expected, "{freed:?}");
    }
}

#[test]
fn entries_outside_of_the_function_end_its_lines() {
    let lines: &[(u64, u32, &[u8])] =
        &[(0x100, 7, b"a.js"), (0x90, 8, b"a.js"), (0x104, 9, b"a.js")];
    let dump = Dump::of(&[debug_info(0x100, lines), load(0x100, 0x10, 1, "f")]);
    assert_eq!(dump.at(0x108), Some(("f".into(), "a.js".into(), 7)));
}

#[test]
fn later_code_replaces_earlier_code() {
    let dump = Dump::of(&[load(0x100, 0x20, 1, "old"), load(0x108, 8, 2, "new")]);
    let names = [0x100, 0x108, 0x10f, 0x110].map(|address| dump.name(address).unwrap());
    assert_eq!(names, ["old", "new", "new", "old"]);
}

#[test]
fn code_that_is_moved_takes_name_and_lines_along() {
    let lines: &[(u64, u32, &[u8])] = &[(0x100, 7, b"a.js"), (0x108, 9, b"\xff")];
    let mut dump = Dump::of(&[debug_info(0x100, lines), load(0x100, 0x10, 1, "f")]);
    dump.write(&moved(0x100, 0x108, 0x10, 1)).unwrap();
    assert_eq!((dump.at(0x107), dump.name(0x117).as_deref()), (None, Some("f")));
    assert_eq!(dump.at(0x108).unwrap().2, 7);
    dump.write(&moved(0x108, 0x500, 0x10, 1)).unwrap();
    assert_eq!((dump.at(0x108), dump.at(0x508).unwrap().2), (None, 9));
    dump.write(&moved(0x500, 0x600, 0x10, 2)).unwrap();
    dump.write(&moved(0x700, 0x600, 0x10, 1)).unwrap();
    assert_eq!((dump.at(0x600), dump.dump.dropped()), (None, 2), "of another function, of none");
}

#[test]
fn a_record_counts_once_its_end_is_written() {
    let mut dump = Dump::new();
    let bytes = [header(0), load(0x100, 0x10, 1, "first"), load(0x200, 8, 2, "second")].concat();
    let (last, mut known) = (bytes.len() - 1, 0);
    for byte in &bytes[..last] {
        dump.write(&[*byte]).unwrap();
        assert!(dump.dump.len() >= known, "nothing is forgotten");
        known = dump.dump.len();
    }
    assert_eq!((dump.name(0x100).as_deref(), dump.name(0x200)), (Some("first"), None));
    assert!(dump.dump.unread_bytes() > 0);
    dump.write(&bytes[last..]).unwrap();
    assert_eq!(dump.name(0x207).as_deref(), Some("second"));
    assert_eq!((dump.dump.dropped(), dump.dump.unread_bytes()), (0, 0));
}

#[test]
fn room_for_records_to_come_is_waited_for() {
    let mut dump = Dump::of(&[load(0x100, 0x10, 1, "first")]);
    let end = dump.written.as_file().metadata().unwrap().len();
    dump.write(&[0; 4096]).unwrap();
    dump.written.as_file().write_all_at(&load(0x200, 8, 2, "second"), end).unwrap();
    dump.dump.update().unwrap();
    assert_eq!(dump.name(0x200).as_deref(), Some("second"));
}

#[test]
fn a_file_that_became_shorter_is_read_anew() {
    let mut dump = Dump::of(&[load(0x100, 0x10, 1, "before"), load(0x200, 0x10, 2, "too")]);
    dump.written.as_file().set_len(40).unwrap();
    dump.dump.update().unwrap();
    assert_eq!(dump.name(0x100), None);
    dump.written.as_file().write_all_at(&load(0x300, 8, 1, "after"), 40).unwrap();
    dump.dump.update().unwrap();
    assert_eq!(dump.name(0x300).as_deref(), Some("after"));
}

#[test]
fn a_name_that_was_overwritten_meanwhile_is_none() {
    let dump = Dump::of(&[load(0x100, 0x10, 1, "name")]);
    let zeros = [0; 200];
    dump.written.as_file().write_all_at(&zeros, 40).unwrap();
    assert_eq!(dump.name(0x100), None);
    dump.written.as_file().set_len(41).unwrap();
    assert_eq!(dump.name(0x100), None);
}

#[test]
fn sizes_that_lie_are_refused_or_dropped() {
    let refused = |bytes: &[u8]| Dump::new().write(bytes).unwrap_err();
    assert_eq!(refused(&[b'x'; 40]), JitDumpError::NotJitDump);
    let swapped: Vec<u8> =
        header(0).chunks(4).flat_map(|word| word.iter().rev().copied()).collect();
    assert_eq!(refused(&swapped), JitDumpError::OtherByteOrder);
    let with = |at: usize, value: u32| {
        let mut bytes = header(0);
        bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        bytes
    };
    assert_eq!(refused(&with(4, 2)), JitDumpError::Version(2));
    for size in [0, 39, u32::MAX] {
        assert_eq!(refused(&with(8, size)), JitDumpError::Corrupt { at: 0, size });
    }
    let mut dump = Dump::of(&[load(0x100, 0x10, 1, "good")]);
    // No room for what its id promises; more code than there are addresses.
    dump.write(&record(0, &[0; 39])).unwrap();
    dump.write(&load(u64::MAX - 1, 9, 2, "wraps")).unwrap();
    assert_eq!(dump.dump.dropped(), 2);
    let corrupt = dump.write(&[1; 4].map(u32::to_ne_bytes).concat()).unwrap_err();
    assert!(matches!(corrupt, JitDumpError::Corrupt { size: 1, .. }));
    dump.write(&load(0x200, 8, 3, "behind it")).unwrap_err();
    assert_eq!((dump.name(0x100).as_deref(), dump.name(0x200)), (Some("good"), None));
}

#[test]
fn lines_with_lying_counts_are_read_as_far_as_they_go() {
    let mut lines = debug_info(0x100, &[(0x100, 7, b"a.js")]);
    lines[24..32].copy_from_slice(&u64::MAX.to_ne_bytes());
    let dump = Dump::of(&[lines, load(0x100, 0x10, 1, "f")]);
    assert_eq!(dump.at(0x101), Some(("f".into(), "a.js".into(), 7)));
}

proptest::proptest! {
    #[test]
    fn any_bytes_behind_a_header_are_taken(
        mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400),
        small in proptest::bool::ANY,
    ) {
        if small && bytes.len() > 8 {
            // An id and a size that get further than chance would.
            bytes[0] %= 4;
            bytes[1..4].fill(0);
            bytes[4] = bytes[4].max(16);
            bytes[5..8].fill(0);
        }
        let mut dump = Dump::new();
        let _ = dump.write(&[header(0), load(0x100, 0x10, 1, "f"), bytes].concat());
        for address in [0, 0x100, 0x10f, u64::MAX] {
            let _ = dump.dump.symbolize(address);
        }
    }
}
