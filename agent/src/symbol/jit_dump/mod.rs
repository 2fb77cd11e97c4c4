//! Functions that runtimes compile while they run, from the file that they write for profilers: a
//! jitdump (`node --perf-prof`, agents of Java, .NET, LLVM). Opens nothing: the caller found the file,
//! and whose it is.
//!
//! ```text
//!  header │ record │ record │ …      record: id, its size, time │ what its id says
//!            load: code address, size, index, name, the code itself
//!            move: from, to            debug info: (address, line, file) of the load that follows
//! ```
//!
//! The file grows while it is read: each update goes on where the last one stopped, and a record
//! whose end is not written yet waits for it. What is kept of a function is where its code and its
//! record are; name and line are read when an address is looked up.

mod lines;
mod record;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::code_ranges::CodeRanges;
use super::demangle::cut;
use super::runtime_names::function;
use super::{Function, Symbol, UnknownReason};
use lines::Wanted;
use record::{ByteReader, HEADER_BYTES, Head, Load, Move, RECORD_BYTES, Record};

/// Ranges kept; 60 MiB if somebody writes a file for it.
const MAX_FUNCTIONS: usize = 1 << 20;
/// Records read in one update, so that a window does not wait for a huge file: the next goes on.
const MAX_RECORDS: usize = 1 << 20;
/// Bytes read at a time. Code is passed over, not read.
const CHUNK: usize = 64 << 10;
/// Longer names are cut.
const MAX_NAME: usize = 8 << 10;

/// Why a file is not read as a jitdump, or not any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JitDumpError {
    /// The kernel refused.
    #[error("the file cannot be read: {0}")]
    Io(io::ErrorKind),
    /// It begins with something else.
    #[error("not a jitdump file")]
    NotJitDump,
    /// Written by a machine with another byte order.
    #[error("a jitdump file of another byte order")]
    OtherByteOrder,
    /// A version that nobody has written yet.
    #[error("a jitdump file of version {0}, not 1")]
    Version(u32),
    /// A record that states a size no record has: where the next one begins is unknown.
    #[error("the record at byte {at} is said to have {size} bytes")]
    Corrupt {
        /// Where the record is.
        at: u64,
        /// What it says.
        size: u32,
    },
}

impl From<io::Error> for JitDumpError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}

/// The functions that one process has compiled, by address.
#[derive(Debug)]
pub struct JitDump {
    file: File,
    functions: CodeRanges<Compiled>,
    /// Where the next update goes on; 0 before the header was read.
    position: u64,
    /// How far behind its address a line's record is: see [`lines`].
    line_shift: u64,
    /// Lines for the load that follows: the code's address and the record's place.
    lines: Option<(u64, u64)>,
    refused: Option<JitDumpError>,
    dropped: u64,
    unread_bytes: u64,
}

/// What is kept of a function.
#[derive(Clone, Copy, Debug)]
struct Compiled {
    /// Where its code begins, also when the beginning was replaced.
    code: u64,
    /// Place of its load record in the file.
    record: u64,
    /// Place of its lines; 0 where it has none.
    lines: u64,
}

impl JitDump {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self {
            file,
            functions: CodeRanges::default(),
            position: 0,
            line_shift: 0,
            lines: None,
            refused: None,
            dropped: 0,
            unread_bytes: 0,
        }
    }

    /// Reads what was appended since the last update. Starts anew when the file became shorter.
    ///
    /// # Errors
    /// Says why the file cannot be read, or not any further; what was read before stays.
    pub fn update(&mut self) -> Result<(), JitDumpError> {
        let size = self.file.metadata()?.len();
        if size < self.position {
            let (functions, lines) = Default::default();
            (self.functions, self.lines, self.position, self.refused) = (functions, lines, 0, None);
        }
        let read = self.refused.map_or_else(|| self.read(size), Err);
        self.unread_bytes = size.saturating_sub(self.position);
        self.refused = read.err().filter(|error| !matches!(error, JitDumpError::Io(_)));
        read
    }

    /// The function at an address of the process, with its line where the runtime tells it.
    #[must_use]
    pub fn symbolize(&self, address: u64) -> Symbol {
        let found = self.functions.find(address);
        found
            .and_then(|compiled| self.function(compiled, address))
            .map_or(Symbol::Unknown(UnknownReason::NotInJitDump), |function| {
                Symbol::Known(Arc::new([function]))
            })
    }

    /// Pieces of functions that can be found.
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
        self.functions.memory_bytes()
    }

    /// Records that were not understood or did not fit.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Bytes of the file that were not read by the last update: a record that is not whole yet, or
    /// what comes behind a refusal or a limit.
    #[must_use]
    pub const fn unread_bytes(&self) -> u64 {
        self.unread_bytes
    }

    fn read(&mut self, size: u64) -> Result<(), JitDumpError> {
        let mut reader = ByteReader::new(CHUNK);
        if self.position == 0 {
            let Some(bytes) = reader.get::<HEADER_BYTES>(&self.file, 0)? else { return Ok(()) };
            let head = Head::parse(bytes)?;
            self.line_shift = head.line_shift();
            self.position = head.size;
        }
        for _ in 0..MAX_RECORDS {
            let at = self.position;
            let Some(bytes) = reader.get::<RECORD_BYTES>(&self.file, at)? else { break };
            let record = Record::parse(bytes);
            if record.is_unwritten() {
                break;
            }
            let length = u64::from(record.size);
            if length < RECORD_BYTES as u64 {
                return Err(JitDumpError::Corrupt { at, size: record.size });
            }
            if at.checked_add(length).is_none_or(|end| end > size) {
                break;
            }
            self.record(&record, at, &mut reader)?;
            self.position = at + length;
        }
        Ok(())
    }

    fn record(&mut self, record: &Record, at: u64, reader: &mut ByteReader) -> io::Result<()> {
        let body = at + RECORD_BYTES as u64;
        let room = u64::from(record.size) - RECORD_BYTES as u64;
        match record.id {
            Record::LOAD if room >= Load::BYTES as u64 => {
                if let Some(bytes) = reader.get(&self.file, body)? {
                    self.load(&Load::parse(bytes), at);
                }
            }
            Record::MOVE if room >= Move::BYTES as u64 => {
                if let Some(bytes) = reader.get(&self.file, body)? {
                    self.moved(&Move::parse(bytes))?;
                }
            }
            Record::DEBUG_INFO if room >= lines::HEAD_BYTES as u64 => {
                if let Some(bytes) = reader.get::<{ lines::HEAD_BYTES }>(&self.file, body)? {
                    self.lines = Some((lines::code_address(bytes), at));
                }
            }
            Record::LOAD | Record::MOVE | Record::DEBUG_INFO => self.dropped += 1,
            // The end, unwinding tables, and what later versions may add.
            _ => {}
        }
        Ok(())
    }

    fn load(&mut self, load: &Load, at: u64) {
        // They come right before the function they belong to.
        let lines = self.lines.take().filter(|(code, _)| *code == load.code);
        let compiled =
            Compiled { code: load.code, record: at, lines: lines.map_or(0, |(_, at)| at) };
        self.put(load.code, load.size, compiled);
    }

    fn moved(&mut self, moved: &Move) -> io::Result<()> {
        let known = self.functions.find(moved.from);
        let known = known.filter(|compiled| compiled.code == moved.from);
        let load = known.map(|compiled| self.load_at(compiled.record)).transpose()?.flatten();
        let same = load.is_some_and(|load| load.index == moved.index && load.size >= moved.size);
        let Some(compiled) = known.filter(|_| same) else {
            self.dropped += 1;
            return Ok(());
        };
        self.functions.remove(moved.from, moved.from.saturating_add(moved.size));
        self.put(moved.to, moved.size, Compiled { code: moved.to, ..compiled });
        Ok(())
    }

    fn put(&mut self, start: u64, size: u64, compiled: Compiled) {
        match start.checked_add(size) {
            // Functions without code are allowed.
            Some(_) if size == 0 => {}
            Some(end) if self.functions.len() < MAX_FUNCTIONS => {
                self.functions.insert(start, end, compiled);
            }
            _ => self.dropped += 1,
        }
    }

    fn load_at(&self, record: u64) -> io::Result<Option<Load>> {
        let mut bytes = [0; Load::BYTES];
        match self.file.read_exact_at(&mut bytes, record + RECORD_BYTES as u64) {
            Ok(()) => Ok(Some(Load::parse(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whatever was read before, the file may be another by now: nothing of it is taken for granted.
    fn function(&self, compiled: Compiled, address: u64) -> Option<Function> {
        let name = self.name(compiled.record)?;
        let mut function = function(&name);
        let load = self.load_at(compiled.record).ok()??;
        if let Some((file, line)) = self.line(compiled, &load, address, function.file.as_deref()) {
            (function.file, function.line) = (Some(cut(file).into()), line);
        }
        Some(function)
    }

    fn line(
        &self,
        compiled: Compiled,
        load: &Load,
        address: u64,
        file: Option<&str>,
    ) -> Option<(String, u32)> {
        let start = load.code.wrapping_add(self.line_shift);
        let wanted = Wanted {
            loaded: load.code,
            code: start..=start.saturating_add(load.size),
            address: start.wrapping_add(address.wrapping_sub(compiled.code)),
            file,
        };
        let record = (compiled.lines > 0).then_some(compiled.lines)?;
        lines::find(&self.file, record, &wanted)
    }

    fn name(&self, record: u64) -> Option<String> {
        let mut head = [0; RECORD_BYTES];
        self.file.read_exact_at(&mut head, record).ok()?;
        let fixed = RECORD_BYTES + Load::BYTES;
        let room = (Record::parse(&head).size as usize).checked_sub(fixed)?;
        let mut bytes = vec![0; room.min(MAX_NAME)];
        let read = self.file.read_at(&mut bytes, record + fixed as u64).ok()?;
        let name = bytes[..read].split(|byte| *byte == 0).next().unwrap_or_default();
        (!name.is_empty()).then(|| cut(String::from_utf8_lossy(name).into_owned()))
    }
}

#[cfg(test)]
mod tests;
