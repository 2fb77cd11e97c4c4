//! The tables that the agent writes and the unwinder reads: where code is mapped, and its rules.

use aya_ebpf::{
    helpers::generated,
    macros::map,
    maps::{Array, HashMap, LruHashMap},
};
use sonde_ebpf::{
    StackEnd,
    limits::{ARENA_ELEMENT_BYTES, MAPPING_HALVINGS, MAX_DIRECTORY, MAX_MAPPINGS, MAX_PROCESSES},
    unwind::{DirectoryEntry, MappedCode, PageBytes, ProcessCode, Rule, USED_AT, find_rule},
};

/// Of the halvings, those that are done in any case.
const FEW_HALVINGS: u32 = 6;

/// `BPF_F_MMAPABLE`: the agent writes these arrays through its own memory. The kernel lets nobody
/// map an array for writing that programs may only read, so that is not asked for.
const SHARED: u32 = 1 << 10;

/// Processes whose code is known, by process id.
#[map]
static PROCESSES: HashMap<u32, ProcessCode> = HashMap::with_max_entries(MAX_PROCESSES, 0);

/// When processes last became another program, on `CLOCK_BOOTTIME`. Read by the agent only.
#[map]
static EXECS: LruHashMap<u32, u64> = LruHashMap::with_max_entries(MAX_PROCESSES, 0);

#[map]
static MAPPINGS: Array<MappedCode> = Array::with_max_entries(MAX_MAPPINGS, SHARED);

#[map]
static DIRECTORY: Array<DirectoryEntry> = Array::with_max_entries(MAX_DIRECTORY, SHARED);

/// Pages; the agent sets the number of elements.
#[map]
static ARENA: Array<[u8; ARENA_ELEMENT_BYTES]> = Array::with_max_entries(1, SHARED);

/// The agent's count of windows, which pages are stamped with when they are used.
#[map]
static EPOCH: Array<u64> = Array::with_max_entries(1, SHARED);

/// What is known of a process.
#[inline(always)]
pub(crate) fn process(pid: u32) -> Option<ProcessCode> {
    // SAFETY: the element may be replaced meanwhile, but the kernel frees it only after this program.
    unsafe { PROCESSES.get(pid) }.copied().filter(|code| code.count > 0)
}

/// Takes note that a process has become another program, and forgets what is known of it: first the
/// one, then the other. The agent, which learns of this later and may be about to tell what the process
/// was, puts an empty element there, looks at the note, and only then fills the element, if it is still
/// there.
#[inline(always)]
pub(crate) fn exec(pid: u32) {
    // SAFETY: the helper takes nothing and has no preconditions.
    let now = unsafe { generated::bpf_ktime_get_boot_ns() };
    let _full = EXECS.insert(pid, now, 0);
    let _unknown = PROCESSES.remove(pid);
}

#[inline(always)]
pub(crate) fn epoch() -> u32 {
    EPOCH.get(0).map_or(0, |epoch| *epoch as u32)
}

/// The mapping around an address.
#[inline(always)]
pub(crate) fn mapping(code: ProcessCode, address: u64) -> Option<MappedCode> {
    let end = u64::from(code.first) + u64::from(code.count);
    let mut low = u64::from(code.first);
    // Most processes have fewer mappings than the last steps find.
    if code.count >= 1 << FEW_HALVINGS {
        for halving in FEW_HALVINGS..MAPPING_HALVINGS {
            low = forward(low, FEW_HALVINGS + MAPPING_HALVINGS - 1 - halving, end, address)?;
        }
    }
    for halving in 0..FEW_HALVINGS {
        low = forward(low, FEW_HALVINGS - 1 - halving, end, address)?;
    }
    if low == u64::from(code.first) {
        return None;
    }
    let found = *MAPPINGS.get((low as u32).wrapping_sub(1))?;
    (found.start <= address && address < found.end).then_some(found)
}

/// `low` + 2^`step` if the mapping before that is one of those before `end` and begins at or before
/// an address; else `low`.
///
/// Without a branch: the verifier would follow both ways of each, and that of 7.3 hardly comes to an
/// end. The sign of a difference is moved to where the step has its bit, as a mask of signs is what
/// the compiler makes a branch of.
#[inline(always)]
fn forward(low: u64, step: u32, end: u64, address: u64) -> Option<u64> {
    let next = low.wrapping_add(1 << step);
    let last = (next as u32).wrapping_sub(1) & (MAX_MAPPINGS - 1);
    let start = MAPPINGS.get(last)?.start;
    let not_there = address.wrapping_sub(start) | end.wrapping_sub(next);
    Some(next.wrapping_sub(not_there >> (63 - step) & 1 << step))
}

/// The rule for an address of a file.
#[inline(always)]
pub(crate) fn rule(mapping: &MappedCode, svma: u64, epoch: u32) -> Result<Rule, StackEnd> {
    let element = mapping.directory.wrapping_add((svma >> 16) as u32);
    let entry = *DIRECTORY.get(element).ok_or(StackEnd::TableNotLoaded)?;
    if entry.place == 0 {
        return Err(StackEnd::TableNotLoaded);
    }
    let position = (entry.place - 1) as u64 * DirectoryEntry::UNIT_BYTES as u64;
    let number = (position / ARENA_ELEMENT_BYTES as u64) as u32;
    let base = ARENA.get_ptr_mut(number).ok_or(StackEnd::TableNotLoaded)?.cast::<u8>();
    let page = ArenaPage { base, offset: position as u32 & (ARENA_ELEMENT_BYTES as u32 - 1) };
    if page.u32(0) != entry.generation {
        return Err(StackEnd::TableNotLoaded);
    }
    let rule = find_rule(&page, svma);
    // The agent changes the first word before it writes another page here.
    if page.u32(0) != entry.generation {
        return Err(StackEnd::TableNotLoaded);
    }
    page.stamp(epoch);
    Ok(rule)
}

/// A page somewhere in an element of the arena.
struct ArenaPage {
    base: *mut u8,
    offset: u32,
}

impl ArenaPage {
    /// Within the element, whatever a page says: this is what the verifier relies on.
    #[inline(always)]
    fn at(&self, position: u32, align: u32) -> *mut u8 {
        let bounded = self.offset.wrapping_add(position) & (ARENA_ELEMENT_BYTES as u32 - align);
        self.base.wrapping_add(bounded as usize)
    }

    #[inline(always)]
    fn stamp(&self, epoch: u32) {
        // Written only when it changes: other CPUs read this line.
        if self.u32(USED_AT) != epoch {
            // SAFETY: four bytes inside the element, see `at`.
            unsafe { self.at(USED_AT, 4).cast::<u32>().write_volatile(epoch) };
        }
    }
}

impl PageBytes for ArenaPage {
    #[inline(always)]
    fn u8(&self, at: u32) -> u8 {
        // SAFETY: one byte inside the element, see `at`.
        unsafe { self.at(at, 1).read_volatile() }
    }

    #[inline(always)]
    fn u16(&self, at: u32) -> u16 {
        // SAFETY: two bytes inside the element, see `at`.
        unsafe { self.at(at, 2).cast::<u16>().read_volatile() }
    }

    #[inline(always)]
    fn u32(&self, at: u32) -> u32 {
        // SAFETY: four bytes inside the element, see `at`.
        unsafe { self.at(at, 4).cast::<u32>().read_volatile() }
    }
}
