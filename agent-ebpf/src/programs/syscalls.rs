//! System calls: how long threads sleep in them, and, while somebody wants to know, how long every call
//! takes and how it ends. Counted here; nothing is sent.
//!
//! A sleep begins when a thread leaves its CPU in a state that it must be woken from, and ends when it
//! has a CPU again. Which call it is in is in the registers that it entered the kernel with, so that a
//! call that does not sleep costs nothing. A call may sleep more than once: each sleep counts.

use core::{
    ffi::c_void,
    intrinsics::{AtomicOrdering, atomic_xadd},
};

use aya_ebpf::{
    Global,
    bindings::BPF_NOEXIST,
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_kernel, generated},
    macros::map,
    maps::{Array, HashMap, PerCpuArray},
    programs::BtfTracePointContext,
};
use sonde_ebpf::{
    DropReason,
    limits::{COMM_BYTES, MAX_SYSCALL_KEYS},
    syscall::{BUCKETS, InSyscall, SyscallHistogram, SyscallKey, bucket, error, number},
};

use super::{cost, drops, registers};

/// Sleeps in calls. This and the next maps have one element where they are not wanted.
#[map]
static SYSCALL_WAITS: HashMap<SyscallKey, SyscallHistogram> =
    HashMap::with_max_entries(MAX_SYSCALL_KEYS, 0);

/// Calls that have ended.
#[map]
static SYSCALLS: HashMap<SyscallKey, SyscallHistogram> =
    HashMap::with_max_entries(MAX_SYSCALL_KEYS, 0);

/// Threads that sleep in a call.
#[map]
static SLEEPING: Array<InSyscall> = Array::with_max_entries(1, 0);

/// Threads that are in a call.
#[map]
static CALLING: Array<InSyscall> = Array::with_max_entries(1, 0);

/// Since when every call is counted, on `CLOCK_BOOTTIME`, in nanoseconds. What is older in [`CALLING`]
/// is left from the last time.
#[map]
static CALLING_SINCE: Array<u64> = Array::with_max_entries(1, 0);

/// Nanoseconds spent here, per CPU, by one run in sixteen: sleeps, then calls.
#[map]
static SYSCALL_COST_NS: PerCpuArray<u64> = PerCpuArray::with_max_entries(2, 0);

/// Bytes of the kernel's structures where fields are, set by the agent before loading.
#[unsafe(no_mangle)]
static TASK_PID: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static TASK_TGID: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static TASK_FLAGS: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static TASK_STATE: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static TASK_COMM: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static TASK_INFO: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static TASK_CGROUPS: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static CSS_SET_CGROUP: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static CGROUP_NODE: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static NODE_ID: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static INFO_COMPAT: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
static CALL_NUMBER: Global<u64> = Global::new(0);

/// 1 where `sched_switch` tells the state of the task it leaves.
#[unsafe(no_mangle)]
static TELLS_STATE: Global<u8> = Global::new(0);

/// One less than the elements of [`SLEEPING`] and [`CALLING`].
#[unsafe(no_mangle)]
static THREAD_MASK: Global<u32> = Global::new(0);

/// States that a thread waits in for something: `TASK_INTERRUPTIBLE`, `TASK_UNINTERRUPTIBLE`. One that
/// was stopped or is traced does not.
const WAITS: u32 = 3;
/// Threads of the kernel: `PF_KTHREAD`, `PF_IO_WORKER`, `PF_USER_WORKER`. Their registers tell of no call.
const KERNEL_THREAD: u32 = 0x0020_0000 | 0x10 | 0x4000;

const RELAXED: AtomicOrdering = AtomicOrdering::Relaxed;

type Counts = HashMap<SyscallKey, SyscallHistogram>;

/// A CPU goes from one thread to another.
#[inline(always)]
pub(crate) fn switched(ctx: &BtfTracePointContext) {
    let is_preempted = ctx.arg::<u32>(0) & 1 != 0;
    let (left, taken): (*const c_void, *const c_void) = (ctx.arg(1), ctx.arg(2));
    let state: u32 =
        if TELLS_STATE.load() != 0 { ctx.arg(3) } else { field(left, TASK_STATE.load()) };
    let mut started_ns = 0;
    if !is_preempted && state & WAITS != 0 && is_user(left) {
        started_ns = cost::now();
        falls_asleep(left, started_ns);
    }
    if let Some(thread) = place(&SLEEPING, tid_of(taken)) {
        if started_ns == 0 {
            started_ns = cost::now();
        }
        let key =
            SyscallKey { pid: field(taken, TASK_TGID.load()), number: thread.number, error: 0 };
        thread.tid = 0;
        add(&SYSCALL_WAITS, &key, taken, started_ns.saturating_sub(thread.since_ns));
    }
    if started_ns != 0 {
        spent(0, started_ns);
    }
}

#[inline(always)]
fn falls_asleep(task: *const c_void, now_ns: u64) {
    let Some(number) = call_of_current().and_then(|told| number(told, is_compat(task))) else {
        return;
    };
    let tid = tid_of(task);
    let Some(thread) = element(&SLEEPING, tid) else { return };
    // Two threads whose ids end alike: the one that sleeps longer keeps the place.
    if thread.tid != 0 && thread.tid != tid {
        drops::count(DropReason::SyscallPlaceTaken);
        return;
    }
    *thread = InSyscall { since_ns: now_ns, tid, number, reserved: 0 };
}

/// A call begins.
#[inline(always)]
pub(crate) fn entered(ctx: &BtfTracePointContext) {
    let started_ns = cost::now();
    let tid = bpf_get_current_pid_tgid() as u32;
    let Some(number) = number(ctx.arg::<u64>(1) as i64, current_is_compat()) else { return };
    let Some(thread) = element(&CALLING, tid) else { return };
    // Two threads whose ids end alike: the call that began first is lost. One that never ends (`exit`)
    // looks the same.
    if thread.tid != 0 && thread.tid != tid && is_recent(thread) {
        drops::count(DropReason::SyscallPlaceTaken);
    }
    *thread = InSyscall { since_ns: started_ns, tid, number, reserved: 0 };
    spent(1, started_ns);
}

/// A call ends. One that began before anybody asked, or in another thread of a process that then
/// became another program, is not known.
#[inline(always)]
pub(crate) fn ended(ctx: &BtfTracePointContext) {
    let now_ns = cost::now();
    let ids = bpf_get_current_pid_tgid();
    let Some(thread) = place(&CALLING, ids as u32).filter(|thread| is_recent(thread)) else {
        return;
    };
    let result = ctx.arg::<u64>(1) as i64;
    let key = SyscallKey { pid: (ids >> 32) as u32, number: thread.number, error: error(result) };
    thread.tid = 0;
    add(&SYSCALLS, &key, current(), now_ns.saturating_sub(thread.since_ns));
    spent(1, now_ns);
}

/// Whether a call began since every call is counted.
#[inline(always)]
fn is_recent(thread: &InSyscall) -> bool {
    CALLING_SINCE.get(0).is_some_and(|since| thread.since_ns >= *since)
}

/// Counts one.
#[inline(always)]
fn add(counts: &Counts, key: &SyscallKey, task: *const c_void, ns: u64) {
    let histogram = match counts.get_ptr_mut(key) {
        Some(histogram) => histogram,
        None => {
            begin(counts, key, task);
            match counts.get_ptr_mut(key) {
                Some(histogram) => histogram,
                None => return drops::count(DropReason::SyscallTableFull),
            }
        }
    };
    // SAFETY: a value of the map; all who write to it do so by atomic additions.
    unsafe {
        let bucket = (&raw mut (*histogram).buckets).cast::<u32>().add(bucket(ns) & (BUCKETS - 1));
        atomic_xadd::<_, _, RELAXED>(bucket, 1_u32);
        atomic_xadd::<_, _, RELAXED>(&raw mut (*histogram).sum_ns, ns);
    }
}

/// Makes room for a key. Who it was is noted: the process may be gone before the agent looks.
#[inline(never)]
fn begin(counts: &Counts, key: &SyscallKey, task: *const c_void) {
    let none = SyscallHistogram {
        sum_ns: 0,
        cgroup_id: cgroup_of(task).unwrap_or(0),
        comm: read::<[u8; COMM_BYTES]>(task, TASK_COMM.load()).unwrap_or_default(),
        buckets: [0; BUCKETS],
    };
    // Another CPU may have been faster: then it is there.
    let _there = counts.insert(key, none, u64::from(BPF_NOEXIST));
}

fn cgroup_of(task: *const c_void) -> Option<u64> {
    let set: *const c_void = read(task, TASK_CGROUPS.load())?;
    let cgroup: *const c_void = read(set, CSS_SET_CGROUP.load())?;
    let node: *const c_void = read(cgroup, CGROUP_NODE.load())?;
    read(node, NODE_ID.load())
}

/// The number of the call that the current thread is in, as the kernel has it.
#[inline(always)]
fn call_of_current() -> Option<i64> {
    let registers: *const c_void = registers::saved_registers()?.cast();
    if registers::HAS_TASK_REGISTERS.load() != 0 {
        let told: machine::Number = field(registers, CALL_NUMBER.load());
        return Some(told.into());
    }
    read::<machine::Number>(registers, CALL_NUMBER.load()).map(i64::from)
}

/// Whether the thread's call is one of the 32-bit table.
#[inline(always)]
fn is_compat(task: *const c_void) -> bool {
    let told: u32 = field(task, TASK_INFO.load() + INFO_COMPAT.load());
    told & machine::IS_COMPAT != 0
}

#[inline(always)]
fn is_user(task: *const c_void) -> bool {
    field::<u32>(task, TASK_FLAGS.load()) & KERNEL_THREAD == 0
}

#[inline(always)]
fn tid_of(task: *const c_void) -> u32 {
    field(task, TASK_PID.load())
}

/// The same of the running thread.
#[inline(always)]
fn current_is_compat() -> bool {
    if registers::HAS_TASK_REGISTERS.load() != 0 {
        // SAFETY: the helper takes nothing and has no preconditions.
        return is_compat(unsafe { generated::bpf_get_current_task_btf() as *const c_void });
    }
    // The helper above is as new as Linux 5.11.
    let told: Option<u32> = read(current(), TASK_INFO.load() + INFO_COMPAT.load());
    told.is_some_and(|told| told & machine::IS_COMPAT != 0)
}

/// The running thread, for who reads it by helpers.
#[inline(always)]
fn current() -> *const c_void {
    // SAFETY: the helper takes nothing and has no preconditions.
    unsafe { generated::bpf_get_current_task() as *const c_void }
}

/// The element of a thread.
#[inline(always)]
fn element<'a>(threads: &Array<InSyscall>, tid: u32) -> Option<&'a mut InSyscall> {
    // SAFETY: a thread is in one place at a time, so that nobody else writes to its element, except
    // for a thread whose id ends alike: what both write are numbers.
    threads.get_ptr_mut(tid & THREAD_MASK.load()).map(|thread| unsafe { &mut *thread })
}

/// The same if it is in a call.
#[inline(always)]
fn place<'a>(threads: &Array<InSyscall>, tid: u32) -> Option<&'a mut InSyscall> {
    element(threads, tid).filter(|thread| tid != 0 && thread.tid == tid)
}

/// A field of a kernel object that the verifier knows.
#[inline(always)]
fn field<T: Copy>(object: *const c_void, offset: u64) -> T {
    // SAFETY: the verifier checks that the object has such a field.
    unsafe { object.byte_add(offset as usize).cast::<T>().read_volatile() }
}

/// A field of any object of the kernel.
#[inline(always)]
fn read<T>(object: *const c_void, offset: u64) -> Option<T> {
    // SAFETY: the helper checks the address itself.
    unsafe { bpf_probe_read_kernel(object.wrapping_byte_add(offset as usize).cast::<T>()) }.ok()
}

/// Adds the time since `start`, as [`cost::add_some`] does.
#[inline(always)]
fn spent(kind: u32, start: u64) {
    if start & 15 == 0
        && let Some(total) = SYSCALL_COST_NS.get_ptr_mut(kind)
    {
        // SAFETY: the element is this CPU's; a run that is interrupted by another on this CPU may lose
        // one addition.
        unsafe { *total += (cost::now() - start) << 4 };
    }
}

#[cfg(bpf_target_arch = "x86_64")]
mod machine {
    /// `orig_ax` of `pt_regs`.
    pub(super) type Number = i64;
    /// `TS_COMPAT` in `thread_info`'s `status`.
    pub(super) const IS_COMPAT: u32 = 2;
}

#[cfg(bpf_target_arch = "aarch64")]
mod machine {
    /// `syscallno` of `pt_regs`.
    pub(super) type Number = i32;
    /// `TIF_32BIT` in `thread_info`'s `flags`.
    pub(super) const IS_COMPAT: u32 = 1 << 22;
}
