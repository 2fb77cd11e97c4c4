//! Several sample files to one, in order, at a grain that is as coarse or coarser. Memory is a few
//! thousand rows of each file, however large they are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::path::PathBuf;

use super::error::StoreError;
use super::memtable::SampleRow;
use super::sample_file::{Ranked, Ranks, SampleFileReader, SampleFileWriter};

/// Ranked rows of one file, one after the other.
struct Cursor<'a> {
    reader: SampleFileReader<'a>,
    rows: std::vec::IntoIter<SampleRow>,
}

impl Cursor<'_> {
    /// The next row whose series is known; others are counted in `lost`.
    fn next(&mut self, ranks: &Ranks, lost: &mut u64) -> Result<Option<Ranked>, StoreError> {
        loop {
            for row in self.rows.by_ref() {
                match ranks.rank(row) {
                    Some(ranked) => return Ok(Some(ranked)),
                    None => *lost += 1,
                }
            }
            match self.reader.next_rows()? {
                Some(rows) => self.rows = rows.into_iter(),
                None => return Ok(None),
            }
        }
    }
}

/// Passes every row of the files to `writer`, in order. Returns how many rows were left out
/// because their series is lost.
pub(super) fn merge(
    paths: &[PathBuf],
    ranks: &Ranks,
    writer: &mut SampleFileWriter<'_>,
) -> Result<u64, StoreError> {
    let mut lost = 0;
    let mut cursors = Vec::with_capacity(paths.len());
    for path in paths {
        let reader = SampleFileReader::open(path)?;
        cursors.push(Cursor { reader, rows: Vec::new().into_iter() });
    }
    let mut heap = BinaryHeap::with_capacity(cursors.len());
    for (at, cursor) in cursors.iter_mut().enumerate() {
        heap.extend(cursor.next(ranks, &mut lost)?.map(|row| Reverse((row, at))));
    }
    while let Some(mut first) = heap.peek_mut() {
        let Reverse((row, at)) = *first;
        writer.push(row)?;
        match cursors[at].next(ranks, &mut lost)? {
            Some(next) => *first = Reverse((next, at)),
            None => drop(PeekMut::pop(first)),
        }
    }
    Ok(lost)
}
