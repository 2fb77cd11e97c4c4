//! The CPU sampler: at a tick of the clock, who runs here and by which calls did it get there.

use core::{ptr, slice};

use aya_ebpf::{
    EbpfContext as _, Global,
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, generated},
    macros::map,
    maps::{Array, RingBuf},
    programs::PerfEventContext,
};
use aya_log_ebpf::debug;
use sonde_ebpf::{
    DropReason, Resume, SampleHeader, StackEnd,
    limits::{BELOW_STACK_POINTER, MAX_KERNEL_FRAMES, MAX_STACK_COPY, MAX_USER_FRAMES},
};

use super::{
    cost, drops,
    registers::{self, Saved},
    stack::Stack,
    walk::{Frames, Walk},
};

/// Samples on their way to the agent, which sets the size to fit the machine.
#[map]
static SAMPLES: RingBuf = RingBuf::with_byte_size(1 << 18, 0);

/// A sample is put together here, one element per CPU: the BPF stack is too small for it, and so is
/// what an element of a per-CPU array may have.
#[map]
static SCRATCH: Array<Scratch> = Array::with_max_entries(1, 0);

/// Bytes waiting in the ring above which the drain thread is woken. Set by the agent before loading.
#[unsafe(no_mangle)]
static WAKE_BYTES: Global<u64> = Global::new(1 << 16);

#[repr(C)]
pub(crate) struct Scratch {
    walk: Walk,
    stack: Stack,
    header: SampleHeader,
    /// User frames, kernel frames, and where the walk could not end, a [`Resume`] and the stack.
    body: [u64; BODY_WORDS],
}

/// Bytes that are copied from a stack at a time: what can be read is known page by page.
const CHUNK: usize = 4096;
/// A position that any mixture of frames stays below. A power of two, for the verifier's sake.
const FRAMES_WORDS: usize = 2048;
const RESUME_WORDS: usize = size_of::<Resume>() / 8;
const BODY_WORDS: usize = FRAMES_WORDS + RESUME_WORDS + (MAX_STACK_COPY + CHUNK) / 8;

const _: () = assert!(MAX_USER_FRAMES + MAX_KERNEL_FRAMES <= FRAMES_WORDS, "frames fit");

/// What `bpf_get_stack` may write.
const KERNEL_STACK_BYTES: u32 = (MAX_KERNEL_FRAMES * size_of::<u64>()) as u32;

/// Begins a sample of what runs on this CPU: who, and the leaf of its user stack. Nothing for the
/// idle task, whose time is nobody's.
#[inline(always)]
pub(crate) fn begin<'a>(ctx: &PerfEventContext) -> Option<&'a mut Scratch> {
    let started_ns = cost::now();
    let ids = bpf_get_current_pid_tgid();
    let (pid, tid) = ((ids >> 32) as u32, ids as u32);
    if tid == 0 {
        cost::add(started_ns);
        return None;
    }
    let scratch = scratch()?;
    scratch.header = SampleHeader {
        pid,
        tid,
        boot_ns: started_ns,
        cgroup_id: 0,
        comm: bpf_get_current_comm().unwrap_or_default(),
        user_frames: 0,
        kernel_frames: 0,
        stack_end: 0,
        stack_bytes: 0,
        reserved: 0,
    };
    // SAFETY: the body, still empty, has more room than registers need.
    let room = unsafe { &mut *scratch.body.as_mut_ptr().cast::<Saved>() };
    match registers::read(ctx, &mut scratch.walk.resume, room) {
        Ok(()) => {
            let (walk, frames, stack) = scratch.user_stack();
            walk.begin(pid, frames);
            stack.begin();
        }
        Err(end) => scratch.walk.refuse(end),
    }
    Some(scratch)
}

/// What an earlier program began on this CPU, or has left over.
#[inline(always)]
pub(crate) fn scratch<'a>() -> Option<&'a mut Scratch> {
    // SAFETY: the helper takes nothing and has no preconditions.
    let cpu = unsafe { generated::bpf_get_smp_processor_id() };
    // SAFETY: the element is this CPU's, and a perf event program is not interrupted by itself.
    SCRATCH.get_ptr_mut(cpu).map(|scratch| unsafe { &mut *scratch })
}

impl Scratch {
    /// The walk, where its frames go, and what it reads.
    #[inline(always)]
    pub(crate) fn user_stack(&mut self) -> (&mut Walk, &mut Frames, &mut Stack) {
        // SAFETY: the body begins with room for all user frames.
        let frames = unsafe { &mut *self.body.as_mut_ptr().cast::<Frames>() };
        (&mut self.walk, frames, &mut self.stack)
    }
}

/// Ends a sample whose user stack has been walked as far as it goes: adds the kernel's and sends it.
#[inline(always)]
pub(crate) fn finish(ctx: &PerfEventContext, scratch: &mut Scratch) {
    scratch.header.user_frames = scratch.walk.frames as u16;
    scratch.header.stack_end = scratch.walk.end();
    if !scratch.walk.is_of_known_process() {
        // Four pointers away: only for who may be gone before the agent can ask for it.
        // SAFETY: the helper takes nothing and has no preconditions.
        scratch.header.cgroup_id = unsafe { generated::bpf_get_current_cgroup_id() };
    }
    let mut at = usize::from(scratch.header.user_frames) & (FRAMES_WORDS - 1);
    if !registers::in_user_mode(ctx) {
        let kernel_frames = kernel_stack(ctx, &mut scratch.body, at);
        scratch.header.kernel_frames = kernel_frames as u16;
        at = (at + kernel_frames) & (FRAMES_WORDS - 1);
    }
    let mut words = at;
    // SAFETY: the helper is asked for a number.
    let waiting = SAMPLES.query(u64::from(BPF_RB_AVAIL_DATA));
    // A ring that is filling up has room for samples only.
    if scratch.walk.can_be_resumed() && waiting <= 2 * WAKE_BYTES.load() {
        let bytes = copy_stack(&scratch.walk.resume, &mut scratch.body, at);
        scratch.header.stack_bytes = bytes as u32;
        words = at + RESUME_WORDS + bytes / 8;
    }
    let size = size_of::<SampleHeader>() + words * size_of::<u64>();
    if submit(scratch, size, waiting).is_err() {
        drops::count(DropReason::SampleRingFull);
        debug!(ctx, "sample ring full, {} bytes lost", size);
    }
    cost::add(scratch.header.boot_ns);
}

/// Writes the kernel's frames at `body[at..]`; returns how many.
#[inline(always)]
fn kernel_stack(ctx: &PerfEventContext, body: &mut [u64; BODY_WORDS], at: usize) -> usize {
    let room = body.as_mut_ptr().wrapping_add(at & (FRAMES_WORDS - 1));
    // SAFETY: behind the first `FRAMES_WORDS` the body has room for more than these bytes.
    let bytes =
        unsafe { generated::bpf_get_stack(ctx.as_ptr(), room.cast(), KERNEL_STACK_BYTES, 0) };
    if bytes <= 0 { 0 } else { (bytes as usize / size_of::<u64>()) & (MAX_KERNEL_FRAMES - 1) }
}

/// Writes where the walk stopped, and the stack from there on; returns the stack's bytes.
#[inline(always)]
fn copy_stack(resume: &Resume, body: &mut [u64; BODY_WORDS], at: usize) -> usize {
    let to = body.as_mut_ptr().wrapping_add(at & (FRAMES_WORDS - 1));
    // SAFETY: behind the first `FRAMES_WORDS` the body has room for this.
    unsafe { to.cast::<Resume>().write(*resume) };
    let to = to.wrapping_add(RESUME_WORDS).cast::<u8>();
    let from = resume.copied_from();
    let mut copied = 0_usize;
    for _ in 0..MAX_STACK_COPY / CHUNK {
        // Up to the end of a page: the next may be another's, or nobody's.
        let address = from.wrapping_add(copied as u64);
        let chunk = CHUNK - (address as usize & (CHUNK - 1));
        let room = to.wrapping_add(copied & (MAX_STACK_COPY - 1));
        // SAFETY: from `room` on the body has at least `CHUNK` bytes; the helper checks the address.
        let failed = unsafe {
            generated::bpf_probe_read_user(room.cast(), chunk as u32, address as *const _)
        };
        // A page that is all below the stack pointer may never have been touched: nothing was popped
        // there, and the helper has written zeros.
        if failed != 0 && (copied != 0 || chunk > BELOW_STACK_POINTER) {
            break;
        }
        copied += chunk;
        if copied > MAX_STACK_COPY - CHUNK {
            break;
        }
    }
    copied & (2 * MAX_STACK_COPY - 1)
}

/// Copies the first `size` bytes into the ring. The drain thread comes by a timer of its own; it is
/// woken only when more waits than one round should leave.
#[inline(always)]
fn submit(scratch: &Scratch, size: usize, waiting: u64) -> Result<(), i32> {
    let wake = if waiting > WAKE_BYTES.load() { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
    let record = ptr::from_ref(&scratch.header).cast::<u8>();
    // SAFETY: `header` and the body behind it have more than `size` bytes, all initialised: map
    // values start as zeros.
    let record = unsafe { slice::from_raw_parts(record, size) };
    SAMPLES.output::<[u8]>(record, u64::from(wake))
}

const _: () = assert!(StackEnd::Complete as u32 == 0, "what a header starts with is overwritten");
