//! The executable regions of one process, and what an address in them means.

use super::files::{FileIndex, FileTable, Kind};
use crate::{
    record::MappedRegion,
    symbol::{FileOffset, kallsyms::KernelAddress},
};

/// Where code is, in terms that outlive the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodeAddress {
    /// In the kernel.
    Kernel(KernelAddress),
    /// In a file.
    File(FileIndex, FileOffset),
    /// In the kernel's vDSO image, so many bytes after its start.
    Vdso(FileOffset),
    /// In memory without a file: code made at run time. The address is the process's.
    Jit(u64),
    /// In no executable region that is known of. The address is the process's.
    Unmapped(u64),
    /// The process was gone before anything was known of it. The address was the process's.
    Gone(u64),
}

/// One region, with its file interned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    start: u64,
    end: u64,
    file_offset: u64,
    kind: Kind,
}

/// A file that code is mapped from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodeFile {
    /// One of the table of files.
    File(FileIndex),
    /// The kernel's vDSO image.
    Vdso,
}

/// An executable region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeRegion {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// Byte of the file that `start` is.
    pub file_offset: u64,
    /// What is mapped; `None` for memory without a file.
    pub file: Option<CodeFile>,
}

/// The regions, sorted by address, without overlaps.
#[derive(Clone, Debug, Default)]
pub struct Mappings(Vec<Region>);

/// More regions than a process can have by default (`vm.max_map_count`).
const MAX_REGIONS: usize = 1 << 17;

impl Mappings {
    /// Adds a region; what it covers of older ones is gone, as in the process. Says whether there
    /// was room for it.
    pub(super) fn insert(&mut self, region: &MappedRegion, files: &mut FileTable) -> bool {
        if region.start >= region.end {
            return true;
        }
        let MappedRegion { start, end, file_offset, .. } = *region;
        let first = self.0.partition_point(|old| old.end <= start);
        let behind = self.0.partition_point(|old| old.start < end);
        // One that replaces others always has room: what they say of its addresses is wrong. It is
        // what is left of them that may have none.
        let room = MAX_REGIONS.saturating_sub(self.0.len() - (behind - first));
        if room == 0 {
            return false;
        }
        let kind = files.intern(&region.path, region.inode);
        let mut pieces = Vec::with_capacity(3);
        if let Some(left) =
            self.0[first..behind].first().filter(|old| old.start < start && room > 1)
        {
            pieces.push(Region { end: start, ..*left });
        }
        pieces.push(Region { start, end, file_offset, kind });
        let is_room = room > pieces.len();
        if let Some(right) = self.0[first..behind].last().filter(|old| old.end > end && is_room) {
            let cut = end - right.start;
            pieces.push(Region { start: end, file_offset: right.file_offset + cut, ..*right });
        }
        self.0.splice(first..behind, pieces);
        true
    }

    /// The files behind the regions, as often as they are mapped.
    pub(super) fn files(&self) -> impl Iterator<Item = FileIndex> {
        self.0.iter().filter_map(|region| match region.kind {
            Kind::File(file) => Some(file),
            _ => None,
        })
    }

    /// What `address` means; `None` if no region covers it.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<CodeAddress> {
        let region = self.region(address)?;
        let into = address - region.start;
        Some(match region.kind {
            Kind::File(file) => CodeAddress::File(file, FileOffset(region.file_offset + into)),
            Kind::Vdso => CodeAddress::Vdso(FileOffset(into)),
            Kind::Anonymous => CodeAddress::Jit(address),
            Kind::Refused => CodeAddress::Unmapped(address),
        })
    }

    /// The regions, in order of address.
    pub fn regions(&self) -> impl Iterator<Item = CodeRegion> {
        self.0.iter().map(|region| CodeRegion {
            start: region.start,
            end: region.end,
            file_offset: region.file_offset,
            file: match region.kind {
                Kind::File(file) => Some(CodeFile::File(file)),
                Kind::Vdso => Some(CodeFile::Vdso),
                // No file, or none that there was room to know of.
                Kind::Anonymous | Kind::Refused => None,
            },
        })
    }

    /// The region around an address, as `/proc/PID/map_files` names it.
    pub(super) fn range_of(&self, address: u64) -> Option<(u64, u64)> {
        self.region(address).map(|region| (region.start, region.end))
    }

    fn region(&self, address: u64) -> Option<&Region> {
        let region = self.0.get(self.0.partition_point(|region| region.end <= address))?;
        (region.start <= address).then_some(region)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is mapped yet, as right after an exec.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::Inode;

    fn region(start: u64, end: u64, file_offset: u64, number: u64) -> MappedRegion {
        let inode = Inode { device: (8, 1), number };
        MappedRegion { start, end, file_offset, inode, path: format!("/lib/{number}") }
    }

    fn offset_at(mappings: &Mappings, address: u64) -> Option<u64> {
        match mappings.find(address)? {
            CodeAddress::File(_, offset) => Some(offset.0),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_region_inside_another_splits_it_and_the_rest_keeps_its_place_in_the_file() {
        let (mut files, mut mappings) = (FileTable::default(), Mappings::default());
        mappings.insert(&region(0x1000, 0x9000, 0, 1), &mut files);
        mappings.insert(&region(0x3000, 0x4000, 0x700, 2), &mut files);
        assert_eq!(offset_at(&mappings, 0x2fff), Some(0x1fff));
        assert_eq!(offset_at(&mappings, 0x3001), Some(0x701));
        assert_eq!(offset_at(&mappings, 0x4000), Some(0x3000));
        assert_eq!(offset_at(&mappings, 0x9000), None);
    }

    #[test]
    fn a_full_table_refuses_what_is_new_but_not_what_replaces_something() {
        let (mut files, mut mappings) = (FileTable::default(), Mappings::default());
        for number in 0..MAX_REGIONS as u64 {
            let start = number * 0x2000;
            assert!(mappings.insert(&region(start, start + 0x1000, 0, 1), &mut files));
        }
        let free = MAX_REGIONS as u64 * 0x2000;
        assert!(!mappings.insert(&region(free, free + 0x1000, 0, 2), &mut files));
        assert!(mappings.insert(&region(0x2000, 0x3000, 0x700, 2), &mut files));
        assert_eq!(offset_at(&mappings, 0x2001), Some(0x701));
        assert!(mappings.insert(&region(0x4400, 0x4800, 0x900, 2), &mut files));
        assert_eq!(offset_at(&mappings, 0x4401), Some(0x901));
        assert_eq!(offset_at(&mappings, 0x4801), None, "no room for the rest, but nothing wrong");
        assert_eq!(mappings.len(), MAX_REGIONS);
    }

    proptest! {
        #[test]
        fn the_last_region_mapped_at_an_address_is_the_one_found(
            regions in prop::collection::vec((0_u64..64, 1_u64..16, 0_u64..1000), 1..30),
        ) {
            let (mut files, mut mappings) = (FileTable::default(), Mappings::default());
            let mut naive = vec![None; 100];
            for (number, (start, length, file_offset)) in regions.into_iter().enumerate() {
                let mapped = region(start, start + length, file_offset, number as u64);
                mappings.insert(&mapped, &mut files);
                for address in start..start + length {
                    naive[usize::try_from(address).expect("small")] = Some(file_offset + address - start);
                }
            }
            for (address, expected) in naive.into_iter().enumerate() {
                prop_assert_eq!(offset_at(&mappings, address as u64), expected);
            }
        }
    }
}
