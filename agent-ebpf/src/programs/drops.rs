//! The kernel's account of what it had to drop, one counter per reason and CPU.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use sonde_ebpf::DropReason;

#[map]
static DROPS: PerCpuArray<u64> = PerCpuArray::with_max_entries(DropReason::ALL.len() as u32, 0);

/// Counts one loss.
pub(crate) fn count(reason: DropReason) {
    if let Some(counter) = DROPS.get_ptr_mut(reason.index()) {
        // SAFETY: the pointer is this CPU's element, just returned by the map; no other CPU writes it.
        unsafe { *counter += 1 };
    }
}
