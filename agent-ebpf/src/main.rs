//! The BPF programs' entry points: a name and a call each. The work is in `programs`.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(
    internal_features,
    reason = "the atomic types of this target can't add: it has no compare and exchange"
)]
#![expect(
    missing_docs,
    unreachable_pub,
    reason = "what the entry points' macro exports is the kernel's"
)]

mod programs;

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::{btf_tracepoint, fexit, perf_event, raw_tracepoint},
    programs::{BtfTracePointContext, FExitContext, PerfEventContext, RawTracePointContext},
};
use programs::{profile, sockets, syscalls, walk};
use sonde_ebpf::socket::SocketEvent;

/// Runs on every tick of a CPU's sampling clock.
#[perf_event]
pub fn cpu_sample(ctx: PerfEventContext) -> u32 {
    if let Some(scratch) = profile::begin(&ctx) {
        let (walk, frames, stack) = scratch.user_stack();
        walk::walk(walk, frames, stack);
        profile::finish(&ctx, scratch);
    }
    0
}

/// The same for kernels that have no loop helper (before 5.17): begins, and leaves the walk to others.
#[perf_event]
pub fn cpu_sample_steps(ctx: PerfEventContext) -> u32 {
    if let Some(scratch) = profile::begin(&ctx) {
        walk::follow(&ctx, scratch.user_stack().0);
        profile::finish(&ctx, scratch);
    }
    0
}

/// Goes on with what [`cpu_sample_steps`] began, and follows itself until the walk is over.
#[perf_event]
pub fn cpu_sample_more(ctx: PerfEventContext) -> u32 {
    if let Some(scratch) = profile::scratch() {
        let (walk, frames, stack) = scratch.user_stack();
        walk::walk_steps(walk, frames, stack);
        walk::follow(&ctx, walk);
        profile::finish(&ctx, scratch);
    }
    0
}

/// Runs when a process has become another program: its code is not what it was.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn process_exec(_ctx: RawTracePointContext) -> i32 {
    programs::tables::exec((bpf_get_current_pid_tgid() >> 32) as u32);
    0
}

/// Runs when a call has sent bytes on a socket.
#[btf_tracepoint(function = "sock_send_length")]
pub fn socket_sent(ctx: BtfTracePointContext) -> i32 {
    sockets::told(&ctx, SocketEvent::Sent);
    0
}

/// Runs when a call has received bytes from a socket.
#[btf_tracepoint(function = "sock_recv_length")]
pub fn socket_received(ctx: BtfTracePointContext) -> i32 {
    sockets::told(&ctx, SocketEvent::Received);
    0
}

// Kernels before 6.3 have no such tracepoints: the functions below them tell the same.

/// Runs when `inet_sendmsg` has sent.
#[fexit(function = "inet_sendmsg")]
pub fn inet_sent(ctx: FExitContext) -> i32 {
    sockets::returned(&ctx, 3, SocketEvent::Sent);
    0
}

/// Runs when `inet6_sendmsg` has sent.
#[fexit(function = "inet6_sendmsg")]
pub fn inet6_sent(ctx: FExitContext) -> i32 {
    sockets::returned(&ctx, 3, SocketEvent::Sent);
    0
}

/// Runs when `unix_stream_sendmsg` has sent.
#[fexit(function = "unix_stream_sendmsg")]
pub fn unix_sent(ctx: FExitContext) -> i32 {
    sockets::returned(&ctx, 3, SocketEvent::Sent);
    0
}

/// Runs when `inet_sendpage` has sent.
#[fexit(function = "inet_sendpage")]
pub fn page_sent(ctx: FExitContext) -> i32 {
    sockets::returned(&ctx, 5, SocketEvent::Sent);
    0
}

/// Runs when `inet_recvmsg` has received.
#[fexit(function = "inet_recvmsg")]
pub fn inet_received(ctx: FExitContext) -> i32 {
    sockets::returned(&ctx, 4, SocketEvent::Received);
    0
}

/// Runs when `inet6_recvmsg` has received.
#[fexit(function = "inet6_recvmsg")]
pub fn inet6_received(ctx: FExitContext) -> i32 {
    sockets::returned(&ctx, 4, SocketEvent::Received);
    0
}

/// Runs when `unix_stream_recvmsg` has received.
#[fexit(function = "unix_stream_recvmsg")]
pub fn unix_received(ctx: FExitContext) -> i32 {
    sockets::returned(&ctx, 4, SocketEvent::Received);
    0
}

/// Runs when an internet socket changes its state.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn socket_state(ctx: BtfTracePointContext) -> i32 {
    sockets::state_changed(&ctx);
    0
}

/// Runs when a CPU goes from one thread to another.
#[btf_tracepoint(function = "sched_switch")]
pub fn syscall_wait(ctx: BtfTracePointContext) -> i32 {
    syscalls::switched(&ctx);
    0
}

/// Runs when a system call begins.
#[btf_tracepoint(function = "sys_enter")]
pub fn syscall_enter(ctx: BtfTracePointContext) -> i32 {
    syscalls::entered(&ctx);
    0
}

/// Runs when a system call ends.
#[btf_tracepoint(function = "sys_exit")]
pub fn syscall_exit(ctx: BtfTracePointContext) -> i32 {
    syscalls::ended(&ctx);
    0
}

/// The programs call helpers that only GPL-compatible programs may call; this is what the kernel is
/// told, as every BPF program tells it. The sources' licence is in LICENSE-APACHE and LICENSE-MIT.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
