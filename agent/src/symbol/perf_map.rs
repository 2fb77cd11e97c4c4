//! Names of compiled functions that runtimes (Node, Java, Python, .NET) append to
//! `/tmp/perf-PID.map` while they run. Opens nothing: the caller found the file, and whose it is.
//!
//! A line is `start size name`, both numbers in hex. The file grows while it is read, so each update
//! goes on where the last one stopped, and a last line without its end waits for it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::code_ranges::CodeRanges;
use super::demangle::cut;
use super::runtime_names::function;
use super::{Symbol, UnknownReason};

/// Bytes of the file that are read, in all.
const MAX_BYTES: u64 = 64 << 20;
/// Functions kept.
const MAX_FUNCTIONS: usize = 1 << 20;
/// Bytes of names kept, those of replaced functions included.
const MAX_NAMES: usize = 32 << 20;
/// Bytes read at a time.
const CHUNK: usize = 64 << 10;
/// A longer line has its name cut; past this it is dropped.
const MAX_LINE: usize = 8 << 10;

/// The functions that one process has compiled, by address.
#[derive(Debug, Default)]
pub struct PerfMap {
    /// Memory of old code is used again for new: later lines replace earlier ones.
    functions: CodeRanges<Name>,
    names: String,
    /// Where the next update goes on.
    position: u64,
    /// The start of a line whose end was not written yet.
    partial: Vec<u8>,
    /// Whether the rest of a line that was too long is being passed over.
    skipping: bool,
    dropped: u64,
    unread_bytes: u64,
}

/// Where a name is in all names.
#[derive(Clone, Copy, Debug)]
struct Name {
    offset: u32,
    length: u32,
}

impl PerfMap {
    /// Reads what was appended since the last update. Starts anew when the file became shorter.
    ///
    /// # Errors
    /// Passes on the kernel's; what was read before it stays.
    pub fn update(&mut self, file: &File) -> io::Result<()> {
        let size = file.metadata()?.len();
        if size < self.position {
            *self = Self { dropped: self.dropped, ..Self::default() };
        }
        let mut chunk = vec![0; CHUNK];
        while self.position < MAX_BYTES {
            let read = file.read_at(&mut chunk, self.position)?;
            if read == 0 {
                return Ok(());
            }
            self.position += read as u64;
            self.append(&chunk[..read]);
        }
        self.unread_bytes = size.saturating_sub(self.position);
        Ok(())
    }

    /// Takes the bytes that follow those of the last call.
    pub fn append(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.partial.len() + piece.len() > MAX_LINE && !self.skipping {
                self.skipping = true;
                self.dropped += 1;
            }
            if !self.skipping {
                self.partial.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial);
                if !std::mem::take(&mut self.skipping) {
                    self.line(&line);
                }
                self.partial = line;
                self.partial.clear();
            }
        }
    }

    /// The function at an address of the process.
    #[must_use]
    pub fn symbolize(&self, address: u64) -> Symbol {
        let Some(name) = self.functions.find(address) else {
            return Symbol::Unknown(UnknownReason::NotInPerfMap);
        };
        let start = name.offset as usize;
        let name = &self.names[start..start + name.length as usize];
        Symbol::Known(Arc::new([function(name)]))
    }

    /// Functions that can be found.
    #[must_use]
    pub fn len(&self) -> usize {
        self.functions.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// Memory held, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.functions.memory_bytes() + self.names.capacity()
    }

    /// Lines that were not understood or did not fit.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Bytes of the file that lie behind the limit, as of the last update.
    #[must_use]
    pub const fn unread_bytes(&self) -> u64 {
        self.unread_bytes
    }

    fn line(&mut self, line: &[u8]) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let parsed = parse_line(line);
        let Some((start, end, name)) = parsed.filter(|(.., name)| self.has_room(name)) else {
            self.dropped += 1;
            return;
        };
        // Both fit: `has_room` keeps them far below.
        let offset = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
        self.names.push_str(&name);
        self.functions.insert(start, end, Name { offset, length });
    }

    fn has_room(&self, name: &str) -> bool {
        self.functions.len() < MAX_FUNCTIONS && self.names.len() + name.len() <= MAX_NAMES
    }
}

/// Start, end and name.
fn parse_line(line: &[u8]) -> Option<(u64, u64, String)> {
    let line = String::from_utf8_lossy(line);
    let mut words = line.trim_end_matches(['\n', '\r']).splitn(3, ' ');
    let mut number = || {
        let word = words.next()?;
        u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok()
    };
    let start = number()?;
    let end = start.checked_add(number()?)?;
    let name = words.next()?.trim();
    (start < end && !name.is_empty()).then(|| (start, end, cut(name.to_owned())))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn name(map: &PerfMap, address: u64) -> Option<String> {
        match map.symbolize(address) {
            Symbol::Known(functions) => Some(functions[0].name.to_string()),
            Symbol::Unknown(reason) => {
                assert_eq!(reason, UnknownReason::NotInPerfMap);
                None
            }
        }
    }

    fn map(text: &str) -> PerfMap {
        let mut map = PerfMap::default();
        map.append(text.as_bytes());
        map
    }

    #[test]
    fn names_may_have_blanks_and_numbers_a_prefix() {
        let map = map("7f00 10 LazyCompile:*run /app/a b.js:12\n0x8000 0x8 py::main:/x.py\n");
        assert_eq!(name(&map, 0x7f0f).as_deref(), Some("LazyCompile:*run /app/a b.js:12"));
        assert_eq!(name(&map, 0x8007).as_deref(), Some("main"));
        assert_eq!(name(&map, 0x8008), None);
    }

    #[test]
    fn later_code_replaces_the_part_of_earlier_code_it_overlaps() {
        let map = map("100 100 old\n140 20 new\n1f0 20 tail\n");
        let expect =
            [(0x13f, "old"), (0x140, "new"), (0x15f, "new"), (0x160, "old"), (0x1f0, "tail")];
        for (address, expect) in expect {
            assert_eq!(name(&map, address).as_deref(), Some(expect), "at {address:#x}");
        }
    }

    #[test]
    fn code_that_covers_several_older_functions_replaces_them_all() {
        let map = map("100 10 a\n110 10 b\n120 10 c\n108 20 new\n");
        assert_eq!(name(&map, 0x107).as_deref(), Some("a"));
        assert_eq!(name(&map, 0x118).as_deref(), Some("new"));
        assert_eq!(name(&map, 0x128).as_deref(), Some("c"));
        assert_eq!(map.len(), 3);
    }

    #[test]
    fn a_line_counts_once_its_end_is_written() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        let reader = file.reopen().expect("the same file");
        let mut map = PerfMap::default();
        write!(file, "100 10 first\n200 10 sec").expect("written");
        map.update(&reader).expect("readable");
        assert_eq!((name(&map, 0x100).as_deref(), name(&map, 0x200)), (Some("first"), None));
        writeln!(file, "ond").expect("written");
        map.update(&reader).expect("readable");
        assert_eq!(name(&map, 0x200).as_deref(), Some("second"));
        assert_eq!(map.dropped(), 0);
    }

    #[test]
    fn a_file_that_became_shorter_is_read_anew() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        let reader = file.reopen().expect("the same file");
        let mut map = PerfMap::default();
        writeln!(file, "100 10 before").expect("written");
        map.update(&reader).expect("readable");
        file.as_file().set_len(0).expect("truncated");
        FileExt::write_all_at(file.as_file(), b"300 9 b\n", 0).expect("written");
        map.update(&reader).expect("readable");
        assert_eq!((name(&map, 0x100), name(&map, 0x300).as_deref()), (None, Some("b")));
    }

    #[test]
    fn lines_that_make_no_sense_are_counted() {
        let map = map("\nhello\n100 zz name\n100 0 empty\nffffffffffffffff 2 wraps\n100 10 \n");
        assert_eq!((map.len(), map.dropped()), (0, 5));
    }

    #[test]
    fn a_line_without_end_costs_no_memory() {
        let mut map = PerfMap::default();
        for _ in 0..1_000 {
            map.append(&[b'x'; 10_000]);
        }
        assert!(map.partial.capacity() <= 2 * MAX_LINE);
        map.append(b"\n100 10 good\n");
        assert_eq!((name(&map, 0x100).as_deref(), map.dropped()), (Some("good"), 1));
    }

    proptest::proptest! {
        #[test]
        fn ranges_never_overlap(lines in proptest::collection::vec((0_u64..64, 1_u64..32), 0..40)) {
            let text: String = lines.iter().map(|(s, n)| format!("{s:x} {n:x} f{s}_{n}\n")).collect();
            let map = map(&text);
            for address in 0..96 {
                let last = lines.iter().rev().find(|(s, n)| (*s..s + n).contains(&address));
                assert_eq!(name(&map, address), last.map(|(s, n)| format!("f{s}_{n}")));
            }
        }

        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2_000)) {
            PerfMap::default().append(&bytes);
        }
    }
}
