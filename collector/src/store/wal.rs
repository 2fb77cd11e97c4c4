//! The write-ahead log: one file per segment.
//!
//! ```text
//! file    magic "SONDEWL1", then records
//! record  length of the payload u32 · CRC32 of the payload u32 · payload       (little endian)
//! payload sections: table number u8 · length u32 · Arrow IPC stream of that table
//! ```
//!
//! A record is what one fsync made durable: several pushes, with every symbol that their samples
//! name and no earlier record has. A torn write leaves a last record whose length or CRC is wrong:
//! reading stops there, and nothing after it was ever acknowledged.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::error::StoreError;
use super::memtable::SampleRow;
use super::signal::Row;
use super::symbols::SymbolRows;
use super::tables::{self, PushRow, Table};
use crate::metric::Point;
use crate::trace::Span;

const MAGIC: &[u8; 8] = b"SONDEWL1";
const RECORD_HEAD: usize = 8;
/// A record is bounded by the pushes of one group commit; a longer length is a torn one.
const MAX_RECORD: u32 = 1 << 30;

/// Rows of one record.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) pushes: Vec<PushRow>,
    pub(super) symbols: SymbolRows,
    /// In the order of `pushes`.
    pub(super) samples: Vec<SampleRow>,
    /// In the order of `pushes`.
    pub(super) spans: Vec<Span>,
    /// In the order of `pushes`.
    pub(super) points: Vec<Point>,
}

/// The segment being written. Only whole records count as written.
pub(super) struct WalWriter {
    file: File,
    path: PathBuf,
    /// Length of the durable part.
    len: u64,
}

impl WalWriter {
    /// Makes a new segment, durable under its name.
    pub(super) fn create(path: PathBuf) -> Result<Self, StoreError> {
        let file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .open(&path)
            .map_err(|error| StoreError::io("create", &path, error))?;
        let mut writer = Self { file, path, len: 0 };
        if let Err(error) = writer.begin() {
            // Without room for it now; the next try makes it anew.
            drop(std::fs::remove_file(&writer.path));
            return Err(error);
        }
        Ok(writer)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.append_bytes(MAGIC)?;
        self.path.parent().map_or(Ok(()), super::files::sync_folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Appends a record and makes it durable. After an error the segment ends where it did before.
    pub(super) fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        let bytes = encode(record)?;
        self.append_bytes(&bytes)
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.file.write_all_at(bytes, self.len).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.len += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                // A part may have reached the disk. Cut it off; should that fail too, its CRC or
                // the digests of its pushes keep it from counting twice.
                drop(self.file.set_len(self.len));
                Err(StoreError::io("append to the log", &self.path, error))
            }
        }
    }
}

fn encode(record: &Record) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![0; RECORD_HEAD];
    for (table, batch) in tables::symbol_batches(&record.symbols)? {
        write_section(&mut bytes, table, &batch)?;
    }
    write_section(&mut bytes, Table::Samples, &tables::samples(&record.samples)?)?;
    write_rows(&mut bytes, &record.spans)?;
    write_rows(&mut bytes, &record.points)?;
    write_section(&mut bytes, Table::Pushes, &tables::pushes(&record.pushes)?)?;
    let len = u32::try_from(bytes.len() - RECORD_HEAD).ok().filter(|len| *len <= MAX_RECORD);
    let too_long = || StoreError::Table { table: "log", what: "a record over 1 GiB".to_owned() };
    let len = len.ok_or_else(too_long)?;
    let crc = crc32fast::hash(&bytes[RECORD_HEAD..]);
    bytes[..4].copy_from_slice(&len.to_le_bytes());
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

fn write_rows<R: Row>(bytes: &mut Vec<u8>, rows: &[R]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    write_section(bytes, R::TABLE, &R::to_batch(rows)?)
}

fn write_section(bytes: &mut Vec<u8>, table: Table, batch: &RecordBatch) -> Result<(), StoreError> {
    let damaged = |what: String| StoreError::Table { table: table.name(), what };
    bytes.push(table as u8);
    let at = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    let mut writer = StreamWriter::try_new(&mut *bytes, &batch.schema())
        .map_err(|error| damaged(error.to_string()))?;
    writer.write(batch).map_err(|error| damaged(error.to_string()))?;
    writer.finish().map_err(|error| damaged(error.to_string()))?;
    drop(writer);
    let len = u32::try_from(bytes.len() - at - 4).map_err(|error| damaged(error.to_string()))?;
    bytes[at..at + 4].copy_from_slice(&len.to_le_bytes());
    Ok(())
}

/// What could be read of a segment.
pub(super) struct Replay {
    pub(super) records: Vec<Record>,
    /// Bytes after the last whole record: what a crash cut off.
    pub(super) torn_bytes: usize,
}

/// Reads a segment up to its first torn record.
pub(super) fn read(path: &Path) -> Result<Replay, StoreError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|error| StoreError::io("read", path, error))?;
    let mut records = Vec::new();
    // A crash may come before the magic is whole; then nothing was acknowledged either.
    let mut rest = bytes.strip_prefix(MAGIC).unwrap_or_default();
    let mut torn_bytes = bytes.len() - MAGIC.len().min(bytes.len());
    while let Some((payload, after)) = split_record(rest) {
        let record = decode(payload).map_err(|error| StoreError::Damaged {
            path: path.to_owned(),
            what: error.to_string(),
            remedy: "its checksum is right, so another version wrote it: open it with that version",
        })?;
        records.push(record);
        rest = after;
        torn_bytes = rest.len();
    }
    Ok(Replay { records, torn_bytes })
}

/// Payload of the first record, and what follows; `None` if it is not whole.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let len = u32::from_le_bytes(*len);
    if len > MAX_RECORD {
        return None;
    }
    let (payload, rest) = rest.split_at_checked(len as usize)?;
    (crc32fast::hash(payload) == u32::from_le_bytes(*crc)).then_some((payload, rest))
}

fn decode(mut payload: &[u8]) -> Result<Record, StoreError> {
    let cut_off = || StoreError::Table { table: "log", what: "a section is cut off".to_owned() };
    let mut record = Record::default();
    while let Some((&number, rest)) = payload.split_first() {
        let (len, rest) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let len = u32::from_le_bytes(*len) as usize;
        let (section, rest) = rest.split_at_checked(len).ok_or_else(cut_off)?;
        let table = Table::from_wire(number).ok_or_else(|| StoreError::Table {
            table: "log",
            what: format!("unknown table {number}"),
        })?;
        read_section(table, section, &mut record)?;
        payload = rest;
    }
    Ok(record)
}

fn read_section(table: Table, section: &[u8], record: &mut Record) -> Result<(), StoreError> {
    let damaged = |what: String| StoreError::Table { table: table.name(), what };
    let reader =
        StreamReader::try_new(section, None).map_err(|error| damaged(error.to_string()))?;
    for batch in reader {
        let batch = batch.map_err(|error| damaged(error.to_string()))?;
        match table {
            Table::Pushes => record.pushes.extend(tables::read_pushes(&batch)?),
            Table::Samples => record.samples.extend(tables::read_samples(&batch)?),
            Table::Spans => record.spans.extend(Span::from_batch(&batch)?),
            Table::Points => record.points.extend(Point::from_batch(&batch)?),
            symbols => tables::read_symbols(symbols, &batch, &mut record.symbols)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn record(n: u64) -> Record {
        let samples = vec![SampleRow { stack: n, series: 2, unix_ms: 3, value: 4 }; 66];
        let digest = u128::from(n);
        let pushes =
            vec![PushRow { digest, received_unix_ms: 5, samples: 66, ..PushRow::default() }];
        Record { pushes, samples, ..Record::default() }
    }

    fn log(folder: &Path) -> Result<PathBuf, StoreError> {
        let path = folder.join("1.wal");
        let mut writer = WalWriter::create(path.clone())?;
        (1..=3).try_for_each(|n| writer.append(&record(n)))?;
        Ok(path)
    }

    #[test]
    fn a_log_cut_anywhere_gives_every_whole_record_and_no_other() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = log(folder.path())?;
        let whole = fs::read(&path)?;
        let ends: Vec<usize> = (1..=3).map(|n| n * (whole.len() - 8) / 3 + 8).collect();
        for cut in (0..=whole.len()).rev().step_by(97).chain(ends.iter().copied()) {
            fs::write(&path, &whole[..cut])?;
            let replay = read(&path)?;
            assert_eq!(replay.records.len(), ends.iter().filter(|end| **end <= cut).count());
        }
        Ok(())
    }

    #[test]
    fn a_flipped_bit_ends_the_log_before_its_record() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = log(folder.path())?;
        let mut bytes = fs::read(&path)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes)?;
        let replay = read(&path)?;
        assert_eq!(replay.records.len(), 1);
        assert!(replay.torn_bytes > 0);
        Ok(())
    }

    #[test]
    fn a_full_disk_is_told_apart_from_other_errors() -> anyhow::Result<()> {
        let file = OpenOptions::new().write(true).open("/dev/full")?;
        let mut writer = WalWriter { file, path: "/dev/full".into(), len: 0 };
        let refused = writer.append(&record(1));
        assert!(matches!(refused, Err(StoreError::DiskFull { .. })), "{refused:?}");
        assert_eq!(writer.len(), 0);
        Ok(())
    }
}
