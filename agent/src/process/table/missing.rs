//! Regions that appeared without an event, as code does that `mremap` has moved: looked for when a
//! sample has an address that no region covers, and not too often.
//!
//! A chain of frame pointers that breaks off leads to such addresses too, and they are never mapped.
//! So a process in which nothing was found is left alone for a while, longer each time, and all
//! processes together have a budget.

use std::{io, sync::Arc};

use super::{Memory, ProcessTable};
use crate::{
    kernel::{ProcMap, is_unknown},
    process::{CodeFile, CodeRegion, Mappings},
    record::MappedRegion,
};

/// How long a process is left alone after a look that told nothing, or that took all its regions.
const PAUSE_NS: u64 = 1_000_000_000;
/// The same after many looks that told nothing.
const MAX_PAUSE_NS: u64 = 64_000_000_000;
/// Looks at all processes together in a second. Where the kernel has the query one takes some ten
/// microseconds; where all regions of a process must be read, the pauses bound what they cost.
const LOOKS_PER_SECOND: u32 = 100;

/// What came of looks for regions, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LookCounts {
    /// A region was there.
    pub found: u64,
    /// Nothing is mapped there, or the process is another by now.
    pub in_vain: u64,
    /// Nobody looked, because that was done too often.
    pub put_off: u64,
}

/// When a process may be looked at again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    until_boot_ns: u64,
    length_ns: u64,
}

impl Default for Pause {
    fn default() -> Self {
        Self { until_boot_ns: 0, length_ns: PAUSE_NS }
    }
}

impl Pause {
    fn after(self, boot_ns: u64, look: Look) -> Self {
        match look {
            // There may be more such regions, and each is found but once.
            Look::Asked { found: true } => Self::default(),
            Look::ReadAll { found: true } => {
                Self { until_boot_ns: boot_ns + PAUSE_NS, length_ns: PAUSE_NS }
            }
            Look::Asked { found: false } | Look::ReadAll { found: false } => Self {
                until_boot_ns: boot_ns + self.length_ns,
                length_ns: (2 * self.length_ns).min(MAX_PAUSE_NS),
            },
        }
    }
}

/// What all processes together may still cost.
#[derive(Debug, Default)]
pub(super) struct Budget {
    second: u64,
    taken: u32,
}

impl Budget {
    fn take(&mut self, boot_ns: u64) -> bool {
        let second = boot_ns / 1_000_000_000;
        if second != self.second {
            *self = Self { second, taken: 0 };
        }
        self.taken += 1;
        self.taken <= LOOKS_PER_SECOND
    }
}

/// How it was looked, and whether the address was found.
#[derive(Clone, Copy)]
enum Look {
    Asked { found: bool },
    ReadAll { found: bool },
}

impl Look {
    const fn found(self) -> bool {
        let (Self::Asked { found } | Self::ReadAll { found }) = self;
        found
    }
}

impl ProcessTable {
    /// Looks for a region around an address that none covers. Says whether there is one: it is
    /// known from then on.
    pub fn look_for(&mut self, pid: u32, address: u64, boot_ns: u64) -> bool {
        let Some(process) = self.processes.get(&pid) else { return false };
        let Memory::Known { mappings, .. } = &process.memory else { return false };
        if process.exited || mappings.find(address).is_some() {
            return false;
        }
        let mappings = Arc::clone(mappings);
        // While a program is being loaded, events are on their way.
        let Some(vdso) = vdso_of(&mappings) else { return false };
        let pause = process.pause;
        if boot_ns < pause.until_boot_ns || !self.looks.take(boot_ns) {
            self.counts.looks.put_off += 1;
            return false;
        }
        let look = match self.ask(pid, address, &mappings, vdso) {
            Ok(region) => {
                drop(mappings); // Held twice, all of it would be copied for the one that is added.
                Look::Asked { found: region.is_some_and(|it| self.add(pid, &it)) }
            }
            Err(error) if is_unknown(&error) => {
                let read = self.read_again(pid);
                let now = self.mappings(pid).filter(|_| read);
                Look::ReadAll { found: now.is_some_and(|now| now.find(address).is_some()) }
            }
            Err(_) => Look::Asked { found: false },
        };
        if let Some(process) = self.processes.get_mut(&pid) {
            process.pause = pause.after(boot_ns, look);
        }
        let counts = &mut self.counts.looks;
        *(if look.found() { &mut counts.found } else { &mut counts.in_vain }) += 1;
        look.found()
    }

    /// Asks for the region around an address, of a process that runs the program that it is known to
    /// run: the vDSO and the executable are where they were.
    fn ask(
        &self,
        pid: u32,
        address: u64,
        mappings: &Mappings,
        vdso: u64,
    ) -> io::Result<Option<MappedRegion>> {
        let mut maps = ProcMap::open(&self.maps_of(pid))?;
        let mut is_there = |start: u64, name: &str| -> io::Result<bool> {
            let region = maps.around(start)?;
            Ok(region.is_some_and(|region| region.start == start && is_named(&region, name)))
        };
        if !is_there(vdso, "[vdso]")? {
            return Ok(None);
        }
        if let Some(executable) = self.processes[&pid].executable.as_deref() {
            let is_of_executable = |region: &CodeRegion| match region.file {
                Some(CodeFile::File(file)) => {
                    self.files.get(file).is_some_and(|file| *file.path == *executable)
                }
                _ => false,
            };
            let mut regions = mappings.regions().filter(is_of_executable);
            // Its own code may be what has moved; not all of it, as it could not run meanwhile.
            let mut found = false;
            while let Some(region) = regions.next().filter(|_| !found) {
                found = is_there(region.start, executable)?;
            }
            if !found {
                return Ok(None);
            }
        }
        maps.around(address)
    }

    fn add(&mut self, pid: u32, region: &MappedRegion) -> bool {
        let process = self.processes.get_mut(&pid);
        let Some(Memory::Known { mappings, .. }) = process.map(|process| &mut process.memory)
        else {
            return false;
        };
        let kept = Arc::make_mut(mappings).insert(region, &mut self.files);
        self.counts.regions_refused += u64::from(!kept);
        kept
    }

    /// Reads all regions again if that was not done too often.
    pub(super) fn read_all_again(&mut self, pid: u32, boot_ns: u64) {
        let Some(process) = self.processes.get(&pid) else { return };
        let pause = process.pause;
        if boot_ns < pause.until_boot_ns || !self.looks.take(boot_ns) || !self.read_again(pid) {
            return;
        }
        // Few of many regions may be code: a process that maps and unmaps it makes us read them all.
        if let Some(process) = self.processes.get_mut(&pid) {
            process.pause = pause.after(boot_ns, Look::ReadAll { found: true });
        }
    }

    /// Reads all regions again; says whether they could be read.
    fn read_again(&mut self, pid: u32) -> bool {
        let read = self.read_maps(pid).ok().filter(|read| match read {
            Memory::Known { mappings, .. } => self.is_same_program(pid, mappings),
            _ => false,
        });
        let was_read = read.is_some();
        if let Some(process) = self.processes.get_mut(&pid) {
            if let Some(memory) = read {
                process.memory = memory;
            } else if let Memory::Known { mappings, whole, .. } = &mut process.memory {
                *whole = mappings.len(); // Nobody can tell: it is not tried with each event.
            }
        }
        was_read
    }

    /// Whether `now` is of the program that the process is known to run. It may have become another
    /// before its regions were read: that puts the vDSO elsewhere, or has another executable.
    fn is_same_program(&self, pid: u32, now: &Mappings) -> bool {
        let Some(known) = self.processes.get(&pid) else { return false };
        let Memory::Known { mappings, .. } = &known.memory else { return false };
        let has = |path: &str| {
            let mut files = now.files().filter_map(|file| self.files.get(file));
            files.any(|file| *file.path == *path)
        };
        vdso_of(mappings) == vdso_of(now) && known.executable.as_deref().is_none_or(has)
    }
}

fn is_named(region: &MappedRegion, name: &str) -> bool {
    region.path.strip_suffix(" (deleted)").unwrap_or(&region.path) == name
}

/// Where the vDSO is: mapped when a program has been loaded, and elsewhere for the next.
fn vdso_of(mappings: &Mappings) -> Option<u64> {
    let mut regions = mappings.regions();
    regions.find(|region| region.file == Some(CodeFile::Vdso)).map(|region| region.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_process_is_left_alone_for_longer_each_time_that_nothing_is_there() {
        let vain = Look::Asked { found: false };
        let mut pause = Pause::default();
        for seconds in [1, 2, 4, 8, 16, 32, 64, 64] {
            pause = pause.after(5 * SECOND, vain);
            assert_eq!(pause.until_boot_ns, (5 + seconds) * SECOND);
        }
        pause = pause.after(9 * SECOND, Look::ReadAll { found: true });
        assert_eq!(pause.until_boot_ns, 10 * SECOND, "all regions were read: that costs");
        pause = pause.after(9 * SECOND, Look::Asked { found: true });
        assert_eq!(pause.until_boot_ns, 0, "the next may be asked for at once");
        assert_eq!(pause.after(SECOND, vain).until_boot_ns, 2 * SECOND);
    }

    #[test]
    fn all_processes_together_have_a_budget_for_each_second() {
        let mut budget = Budget::default();
        let taken = (0..1000).filter(|_| budget.take(7 * SECOND)).count();
        assert_eq!(taken, LOOKS_PER_SECOND as usize);
        assert!(budget.take(8 * SECOND));
    }
}
