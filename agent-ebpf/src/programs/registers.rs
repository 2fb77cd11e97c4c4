//! The user-mode registers of the thread that a sample hit, also when it was in the kernel.

use core::ptr;

use aya_ebpf::{
    EbpfContext as _, Global,
    bindings::{BPF_F_USER_STACK, bpf_perf_event_data},
    helpers::{bpf_probe_read_kernel, generated},
    programs::PerfEventContext,
};
use sonde_ebpf::{
    Resume, StackEnd,
    unwind::{LEAF, Registers},
};

/// 1 where the kernel has `bpf_task_pt_regs` (5.15), set by the agent before loading.
#[unsafe(no_mangle)]
pub(super) static HAS_TASK_REGISTERS: Global<u8> = Global::new(1);

/// Byte of `task_struct` where the kernel stack's address is, for kernels without that helper.
#[unsafe(no_mangle)]
static TASK_STACK_OFFSET: Global<u64> = Global::new(0);

/// Whether the sample hit user code.
#[inline(always)]
pub(crate) fn in_user_mode(ctx: &PerfEventContext) -> bool {
    machine::is_user(ctx.ctx)
}

/// Fills `to` with the leaf's registers. `room` is for what the kernel saved of them: the stacks of
/// the sampler and of its loop together have 512 bytes below Linux 6.13, where that is too much.
///
/// # Errors
/// If there are none: a kernel thread, or code of another instruction set.
#[inline(always)]
pub(crate) fn read(
    ctx: &PerfEventContext,
    to: &mut Resume,
    room: &mut Saved,
) -> Result<(), StackEnd> {
    if machine::is_user(ctx.ctx) {
        machine::from_context(ctx.ctx, to)
    } else {
        let mut pc = 0_u64;
        let leaf = (&raw mut pc).cast();
        // Only asked whether there is user memory at all: the kernel looks at `mm` for us.
        // SAFETY: `leaf` points to the eight bytes that the helper is told it may write.
        let bytes =
            unsafe { generated::bpf_get_stack(ctx.as_ptr(), leaf, 8, u64::from(BPF_F_USER_STACK)) };
        if bytes <= 0 {
            return Err(StackEnd::KernelThread);
        }
        let saved = saved_registers().ok_or(StackEnd::ReadFault)?;
        let (place, bytes) = (ptr::from_mut(room).cast(), size_of::<Saved>() as u32);
        // SAFETY: `place` has so many bytes; the helper checks the address that it reads.
        let failed = unsafe { generated::bpf_probe_read_kernel(place, bytes, saved.cast()) };
        if failed != 0 {
            return Err(StackEnd::ReadFault);
        }
        machine::from_saved(room, to)
    }
}

/// Where the kernel saved the registers when this thread entered it.
#[inline(always)]
pub(super) fn saved_registers() -> Option<*const Saved> {
    if HAS_TASK_REGISTERS.load() != 0 {
        // SAFETY: the running task is valid as long as it runs, and so are its saved registers.
        return Some(unsafe { generated::bpf_task_pt_regs(generated::bpf_get_current_task_btf()) }
            as *const _);
    }
    let offset = TASK_STACK_OFFSET.load();
    if offset == 0 {
        return None;
    }
    // SAFETY: the helper takes nothing and has no preconditions.
    let task = unsafe { generated::bpf_get_current_task() };
    // SAFETY: the helper checks the address itself.
    let stack: u64 = unsafe { bpf_probe_read_kernel((task + offset) as *const u64) }.ok()?;
    Some((stack + machine::SAVED_AT) as *const _)
}

/// Registers as the kernel saves them.
pub(crate) use machine::Saved;

#[cfg(bpf_target_arch = "x86_64")]
mod machine {
    use super::{LEAF, Registers, Resume, StackEnd, bpf_perf_event_data};

    pub(crate) type Saved = aya_ebpf::bindings::pt_regs;

    /// The stack has 16 KiB, and the registers are its last bytes.
    pub(super) const SAVED_AT: u64 = (16 << 10) - size_of::<Saved>() as u64;

    /// Code segments of 64-bit user code.
    const USER64_CS: u64 = 0x33;

    #[inline(always)]
    pub(super) fn is_user(ctx: *const bpf_perf_event_data) -> bool {
        // SAFETY: the context is valid as long as the program runs.
        unsafe { (&raw const (*ctx).regs.cs).read_volatile() & 3 == 3 }
    }

    /// Field by field: the verifier allows no other look at the context.
    macro_rules! take {
        ($regs:expr, $to:expr) => {{
            let (regs, to) = ($regs, $to);
            // SAFETY: `regs` points to registers that are valid as long as the program runs.
            let (pc, sp, fp, cs) = unsafe {
                (
                    (&raw const (*regs).rip).read_volatile(),
                    (&raw const (*regs).rsp).read_volatile(),
                    (&raw const (*regs).rbp).read_volatile(),
                    (&raw const (*regs).cs).read_volatile(),
                )
            };
            if cs != USER64_CS {
                return Err(StackEnd::ForeignCode);
            }
            to.registers = Registers { pc, sp, fp, link: 0, exact: 1, leaf: LEAF };
            // In DWARF's order.
            // SAFETY: as above.
            unsafe {
                to.general[0] = (&raw const (*regs).rax).read_volatile();
                to.general[1] = (&raw const (*regs).rdx).read_volatile();
                to.general[2] = (&raw const (*regs).rcx).read_volatile();
                to.general[3] = (&raw const (*regs).rbx).read_volatile();
                to.general[4] = (&raw const (*regs).rsi).read_volatile();
                to.general[5] = (&raw const (*regs).rdi).read_volatile();
                to.general[6] = fp;
                to.general[7] = sp;
                to.general[8] = (&raw const (*regs).r8).read_volatile();
                to.general[9] = (&raw const (*regs).r9).read_volatile();
                to.general[10] = (&raw const (*regs).r10).read_volatile();
                to.general[11] = (&raw const (*regs).r11).read_volatile();
                to.general[12] = (&raw const (*regs).r12).read_volatile();
                to.general[13] = (&raw const (*regs).r13).read_volatile();
                to.general[14] = (&raw const (*regs).r14).read_volatile();
                to.general[15] = (&raw const (*regs).r15).read_volatile();
            }
            Ok(())
        }};
    }

    #[inline(always)]
    pub(super) fn from_context(
        ctx: *const bpf_perf_event_data,
        to: &mut Resume,
    ) -> Result<(), StackEnd> {
        // SAFETY: only the address is taken.
        take!(unsafe { &raw const (*ctx).regs }, to)
    }

    #[inline(always)]
    pub(super) fn from_saved(saved: &Saved, to: &mut Resume) -> Result<(), StackEnd> {
        take!(&raw const *saved, to)
    }
}

#[cfg(bpf_target_arch = "aarch64")]
mod machine {
    use super::{LEAF, Registers, Resume, StackEnd, bpf_perf_event_data};

    pub(crate) type Saved = aya_ebpf::bindings::user_pt_regs;

    /// The stack has 16 KiB; `pt_regs` with its tail is its last 336 bytes.
    pub(super) const SAVED_AT: u64 = (16 << 10) - 336;

    /// Mode bits of the processor state: zero is 64-bit user code, the first says 32-bit.
    const MODE: u64 = 0x1f;
    const MODE_32: u64 = 0x10;

    #[inline(always)]
    pub(super) fn is_user(ctx: *const bpf_perf_event_data) -> bool {
        // SAFETY: the context is valid as long as the program runs.
        unsafe { (&raw const (*ctx).regs.pstate).read_volatile() & 0xf == 0 }
    }

    macro_rules! take {
        ($regs:expr, $to:expr) => {{
            let (regs, to) = ($regs, $to);
            // SAFETY: `regs` points to registers that are valid as long as the program runs.
            let (pc, sp, fp, link, state) = unsafe {
                (
                    (&raw const (*regs).pc).read_volatile(),
                    (&raw const (*regs).sp).read_volatile(),
                    (&raw const (*regs).regs[29]).read_volatile(),
                    (&raw const (*regs).regs[30]).read_volatile(),
                    (&raw const (*regs).pstate).read_volatile(),
                )
            };
            if state & MODE == MODE_32 {
                return Err(StackEnd::ForeignCode);
            }
            to.registers = Registers { pc, sp, fp, link, exact: 1, leaf: LEAF };
            to.general = [0; 16];
            Ok(())
        }};
    }

    #[inline(always)]
    pub(super) fn from_context(
        ctx: *const bpf_perf_event_data,
        to: &mut Resume,
    ) -> Result<(), StackEnd> {
        // SAFETY: only the address is taken.
        take!(unsafe { &raw const (*ctx).regs }, to)
    }

    #[inline(always)]
    pub(super) fn from_saved(saved: &Saved, to: &mut Resume) -> Result<(), StackEnd> {
        take!(&raw const *saved, to)
    }
}
