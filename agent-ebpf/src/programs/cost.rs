//! What the programs themselves cost. The kernel's own account (`kernel.bpf_stats_enabled`) would
//! charge every BPF program of the host for it; this one costs two clock reads per sample.

use aya_ebpf::{helpers::generated, macros::map, maps::PerCpuArray};

/// Nanoseconds spent in our programs, per CPU: samples, then calls on sockets.
#[map]
static COST_NS: PerCpuArray<u64> = PerCpuArray::with_max_entries(2, 0);

/// The time on `CLOCK_BOOTTIME`, which samples are stamped with: one clock for both.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the helper takes nothing and has no preconditions.
    unsafe { generated::bpf_ktime_get_boot_ns() }
}

/// Adds the time since `start`.
#[inline(always)]
pub(crate) fn add(start: u64) {
    if let Some(total) = COST_NS.get_ptr_mut(0) {
        // SAFETY: the pointer is this CPU's element, just returned by the map; no other CPU writes it.
        unsafe { *total += now() - start };
    }
}

/// The same for programs that run so often that the second look at the clock would show: one run in
/// sixteen, by the clock's own lowest bits, stands for all.
#[inline(always)]
pub(crate) fn add_some(start: u64) {
    if start & 15 == 0
        && let Some(total) = COST_NS.get_ptr_mut(1)
    {
        // SAFETY: as above; a run that is interrupted by another on this CPU may lose one addition.
        unsafe { *total += (now() - start) << 4 };
    }
}
