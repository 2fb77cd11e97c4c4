//! The CPU sampler: at a tick of the clock, who runs here and by which calls did it get there.

use core::{ptr, slice};

use aya_ebpf::{
    EbpfContext as _, Global,
    bindings::{BPF_F_USER_STACK, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, generated},
    macros::map,
    maps::{PerCpuArray, RingBuf},
    programs::PerfEventContext,
};
use aya_log_ebpf::debug;
use sonde_ebpf::{DropReason, SampleHeader, StackEnd, limits::MAX_STACK_FRAMES};

use super::{cost, drops};

/// Samples on their way to the agent, which sets the size to fit the machine.
#[map]
static SAMPLES: RingBuf = RingBuf::with_byte_size(1 << 18, 0);

/// A sample is put together here: the BPF stack is too small for it.
#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// Set by the agent before loading.
#[unsafe(no_mangle)]
static WAKE_BYTES: Global<u64> = Global::new(1 << 16);

#[repr(C)]
struct Scratch {
    header: SampleHeader,
    /// User addresses, then kernel addresses: each part has at most `MAX_STACK_FRAMES`, and the
    /// second begins where the first ends.
    frames: [u64; 2 * MAX_STACK_FRAMES],
}

/// What `bpf_get_stack` may write at a time.
const STACK_BYTES: u32 = (MAX_STACK_FRAMES * size_of::<u64>()) as u32;

/// Takes one sample of what runs on this CPU.
pub(crate) fn sample(ctx: &PerfEventContext) {
    let start = cost::now();
    take(ctx);
    cost::add(start);
}

#[inline(always)]
fn take(ctx: &PerfEventContext) {
    let ids = bpf_get_current_pid_tgid();
    let (pid, tid) = ((ids >> 32) as u32, ids as u32);
    if tid == 0 {
        return; // The idle task: nobody's time.
    }
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return };
    // SAFETY: the pointer is this CPU's element, just returned by the map; a perf event program is
    // not interrupted by itself on the same CPU.
    let scratch = unsafe { &mut *scratch };

    let user = stack(ctx, &mut scratch.frames, 0, u64::from(BPF_F_USER_STACK));
    let user_frames = frames_written(user);
    let kernel_frames = frames_written(stack(ctx, &mut scratch.frames, user_frames, 0));
    scratch.header = SampleHeader {
        pid,
        tid,
        // SAFETY: these helpers take no pointers and have no preconditions.
        boot_ns: unsafe { generated::bpf_ktime_get_boot_ns() },
        // SAFETY: as above.
        cgroup_id: unsafe { generated::bpf_get_current_cgroup_id() },
        comm: bpf_get_current_comm().unwrap_or_default(),
        user_frames: user_frames as u16,
        kernel_frames: kernel_frames as u16,
        stack_end: stack_end(user, user_frames) as u32,
    };
    let size = size_of::<SampleHeader>() + (user_frames + kernel_frames) * size_of::<u64>();
    if submit(scratch, size).is_err() {
        drops::count(DropReason::SampleRingFull);
        debug!(ctx, "sample ring full, {} bytes lost", size);
    }
}

/// Writes one side of the stack at `frames[at..]`; returns what the helper says: bytes, or an error.
#[inline(always)]
fn stack(ctx: &PerfEventContext, frames: &mut [u64], at: usize, flags: u64) -> i64 {
    // The mask is for the verifier, who must see that `at` is in bounds: it is by construction.
    let room = frames.as_mut_ptr().wrapping_add(at & (MAX_STACK_FRAMES - 1));
    // SAFETY: from `room` on, at least `MAX_STACK_FRAMES` elements are left: `at` is below that
    // number, and `frames` is twice as long.
    unsafe { generated::bpf_get_stack(ctx.as_ptr(), room.cast(), STACK_BYTES, flags) }
}

/// Frames in a stack of `bytes`, or none where the helper failed.
#[inline(always)]
fn frames_written(bytes: i64) -> usize {
    if bytes <= 0 { 0 } else { (bytes as usize / size_of::<u64>()) & (MAX_STACK_FRAMES - 1) }
}

#[inline(always)]
fn stack_end(user: i64, user_frames: usize) -> StackEnd {
    match user {
        // A thread with user memory has at least its program counter on the stack.
        0 => StackEnd::KernelThread,
        ..0 => StackEnd::ReadFault,
        _ if user_frames == MAX_STACK_FRAMES - 1 => StackEnd::Truncated,
        _ => StackEnd::FramePointerEnd,
    }
}

/// Copies the first `size` bytes into the ring. The drain thread comes by a timer of its own; it is
/// woken only when more waits than one round should leave.
#[inline(always)]
fn submit(scratch: &Scratch, size: usize) -> Result<(), i32> {
    let waiting = SAMPLES.query(u64::from(BPF_RB_AVAIL_DATA));
    let wake = if waiting > WAKE_BYTES.load() { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
    // SAFETY: `scratch` holds more than `size` bytes, all initialised: map values start as zeros.
    let record = unsafe { slice::from_raw_parts(ptr::from_ref(scratch).cast::<u8>(), size) };
    SAMPLES.output::<[u8]>(record, u64::from(wake))
}
