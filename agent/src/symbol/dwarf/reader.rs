//! A position in a debug section, as `gimli` wants to read it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use gimli::{Error, Reader, ReaderOffsetId, Result, RunTimeEndian};

use super::section::SectionBytes;

/// The bytes from `start` to `end` of a section. Never outside it.
#[derive(Clone)]
pub(super) struct SectionReader {
    section: Arc<SectionBytes>,
    start: usize,
    end: usize,
    endian: RunTimeEndian,
}

impl SectionReader {
    pub(super) fn new(section: Arc<SectionBytes>, endian: RunTimeEndian) -> Self {
        let end = section.size();
        Self { section, start: 0, end, endian }
    }

    /// What it reads.
    pub(super) const fn section(&self) -> &Arc<SectionBytes> {
        &self.section
    }

    /// `size` bytes from `start` on.
    pub(super) fn piece(&self, start: usize, size: usize) -> Result<Self> {
        let mut piece = self.clone();
        piece.advance(start)?;
        piece.truncate(size)?;
        Ok(piece)
    }

    /// Moves forward by `length` bytes and returns where it was.
    #[inline]
    fn advance(&mut self, length: usize) -> Result<usize> {
        let start = self.start;
        if length > self.end - start {
            return Err(Error::UnexpectedEof(self.offset_id()));
        }
        self.start += length;
        Ok(start)
    }
}

impl fmt::Debug for SectionReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SectionReader({:#x}..{:#x})", self.start, self.end)
    }
}

impl Reader for SectionReader {
    type Endian = RunTimeEndian;
    type Offset = usize;

    fn endian(&self) -> RunTimeEndian {
        self.endian
    }

    fn len(&self) -> usize {
        self.end - self.start
    }

    fn empty(&mut self) {
        self.end = self.start;
    }

    fn truncate(&mut self, len: usize) -> Result<()> {
        if len > self.len() {
            return Err(Error::UnexpectedEof(self.offset_id()));
        }
        self.end = self.start + len;
        Ok(())
    }

    fn offset_from(&self, base: &Self) -> usize {
        self.start.saturating_sub(base.start)
    }

    fn offset_id(&self) -> ReaderOffsetId {
        ReaderOffsetId(self.start as u64)
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        let position = usize::try_from(id.0).ok()?;
        (self.start..=self.end).contains(&position).then(|| position - self.start)
    }

    fn find(&self, byte: u8) -> Result<usize> {
        let mut position = self.start;
        while position < self.end {
            let run = self.section.run(position)?;
            let run = &run[..run.len().min(self.end - position)];
            let found = run.iter().position(|&b| b == byte);
            self.section.meter.read(found.unwrap_or(run.len()))?;
            if let Some(found) = found {
                return Ok(position + found - self.start);
            }
            if run.is_empty() {
                break;
            }
            position += run.len();
        }
        Err(Error::UnexpectedEof(self.offset_id()))
    }

    #[inline]
    fn skip(&mut self, len: usize) -> Result<()> {
        self.section.meter.read(1)?;
        self.advance(len).map(|_| ())
    }

    fn split(&mut self, len: usize) -> Result<Self> {
        let start = self.advance(len)?;
        Ok(Self { start, end: self.start, ..self.clone() })
    }

    fn to_slice(&self) -> Result<Cow<'_, [u8]>> {
        self.section.meter.read(self.len())?;
        self.section.slice(self.start, self.end)
    }

    fn to_string(&self) -> Result<Cow<'_, str>> {
        match self.to_slice()? {
            Cow::Borrowed(bytes) => {
                std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| Error::BadUtf8)
            }
            Cow::Owned(bytes) => {
                String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Error::BadUtf8)
            }
        }
    }

    fn to_string_lossy(&self) -> Result<Cow<'_, str>> {
        Ok(match self.to_slice()? {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        })
    }

    #[inline]
    fn read_slice(&mut self, buf: &mut [u8]) -> Result<()> {
        self.section.meter.read(buf.len())?;
        let start = self.advance(buf.len())?;
        self.section.copy(start, buf)
    }
}
