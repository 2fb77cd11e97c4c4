//! One stack sample, as the kernel programs write it into the `SAMPLES` ring buffer.

use crate::{
    limits::{BELOW_STACK_POINTER, COMM_BYTES},
    unwind::Registers,
};

/// The fixed part of a sample. `user_frames`, then `kernel_frames` addresses (`u64`) follow it, leaf
/// first each; then, where `stack_bytes` is not 0, a [`Resume`] and so many bytes of the stack.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleHeader {
    /// Process id as userspace says it: what the kernel calls `tgid`.
    pub pid: u32,
    /// Thread id as userspace says it: what the kernel calls `pid`.
    pub tid: u32,
    /// Time of the sample on `CLOCK_BOOTTIME`, in nanoseconds.
    pub boot_ns: u64,
    /// The thread's cgroup (version 2 hierarchy), which outlives the process as a name for it; 0 of a
    /// process whose code the agent has told.
    pub cgroup_id: u64,
    /// Name of the thread, padded with zeros.
    pub comm: [u8; COMM_BYTES],
    /// Number of user addresses that follow.
    pub user_frames: u16,
    /// Number of kernel addresses after those.
    pub kernel_frames: u16,
    /// Why the user stack ends where it does: a [`StackEnd`].
    pub stack_end: u32,
    /// Bytes of the thread's stack, from [`Resume::copied_from`] upwards; 0 if the agent has no need
    /// of them. A multiple of 8.
    pub stack_bytes: u32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<SampleHeader>() == 56, "no padding: the agent reads these bytes");

/// Where unwinding stopped for want of a table, so that the agent can go on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// The last frame's registers.
    pub registers: Registers,
    /// The leaf's registers by DWARF number (x86-64); zeros if the last frame is not the leaf.
    pub general: [u64; 16],
}

impl Resume {
    /// Where the copy of the thread's stack begins.
    #[inline(always)]
    #[must_use]
    pub const fn copied_from(&self) -> u64 {
        self.registers.sp.wrapping_sub(BELOW_STACK_POINTER as u64) & !7
    }
}

const _: () = assert!(size_of::<Resume>() == 168, "no padding: the agent reads these bytes");

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, no padding (asserted above), and every bit pattern is a valid value.
unsafe impl aya::Pod for SampleHeader {}
#[cfg(feature = "user")]
// SAFETY: as above.
unsafe impl aya::Pod for Resume {}

/// Why unwinding of the user stack stopped. The numbers are wire values: append, never renumber.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StackEnd {
    /// The unwinder reached the thread's first function.
    Complete = 0,
    /// The stack has more frames than a record holds.
    Truncated = 1,
    /// No mapping is known for the address.
    NoMapping = 2,
    /// The stack could not be read.
    ReadFault = 3,
    /// A kernel thread: there is no user stack.
    KernelThread = 4,
    /// The chain of frame pointers ended; whether that is the thread's first function is for the
    /// agent to say, who knows the functions.
    FramePointerEnd = 5,
    /// No table covers the address, and its file does not keep frame pointers.
    NoUnwindInfo = 6,
    /// Code made at run time that does not keep frame pointers.
    Jit = 7,
    /// The table has a rule that the unwinder does not know.
    UnsupportedRule = 8,
    /// The kernel side had no table for the address yet.
    TableNotLoaded = 9,
    /// The kernel side did not know the process yet.
    ProcessUnknown = 10,
    /// A thread of another instruction set, such as 32-bit code on a 64-bit machine.
    ForeignCode = 11,
    /// Between two programs, where a process has no user stack. The agent says so, by the kernel's
    /// functions; the kernel side never does.
    InExec = 12,
}

impl StackEnd {
    /// Every end, in wire order.
    pub const ALL: [Self; 13] = [
        Self::Complete,
        Self::Truncated,
        Self::NoMapping,
        Self::ReadFault,
        Self::KernelThread,
        Self::FramePointerEnd,
        Self::NoUnwindInfo,
        Self::Jit,
        Self::UnsupportedRule,
        Self::TableNotLoaded,
        Self::ProcessUnknown,
        Self::ForeignCode,
        Self::InExec,
    ];

    /// The end that a kernel record means by `wire`; `None` if this side does not know it.
    #[must_use]
    pub fn from_wire(wire: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|end| *end as u32 == wire)
    }

    /// The value of the metric label `reason`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Truncated => "truncated",
            Self::NoMapping => "no_mapping",
            Self::ReadFault => "read_fault",
            Self::KernelThread => "kernel_thread",
            Self::FramePointerEnd => "frame_pointers_lost",
            Self::NoUnwindInfo => "no_unwind_info",
            Self::Jit => "jit",
            Self::UnsupportedRule => "unsupported_rule",
            Self::TableNotLoaded => "table_not_loaded",
            Self::ProcessUnknown => "process_unknown",
            Self::ForeignCode => "foreign_code",
            Self::InExec => "in_exec",
        }
    }

    /// Whether the agent, who may know more than the kernel side did, can go on from here.
    #[must_use]
    pub const fn may_resume(self) -> bool {
        matches!(self, Self::NoMapping | Self::TableNotLoaded | Self::ProcessUnknown)
    }
}

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use super::{Resume, SampleHeader, StackEnd};

    #[test]
    fn the_header_s_layout_is_what_the_kernel_side_was_compiled_for() {
        assert_eq!(offset_of!(SampleHeader, boot_ns), 8);
        assert_eq!(offset_of!(SampleHeader, comm), 24);
        assert_eq!(offset_of!(SampleHeader, user_frames), 40);
        assert_eq!(offset_of!(SampleHeader, stack_end), 44);
        assert_eq!(offset_of!(SampleHeader, stack_bytes), 48);
        assert_eq!(offset_of!(Resume, general), 40);
    }

    #[test]
    fn every_stack_end_comes_back_from_its_wire_value() {
        for end in StackEnd::ALL {
            assert_eq!(StackEnd::from_wire(end as u32), Some(end));
        }
    }

    #[test]
    fn a_stack_end_from_a_newer_kernel_side_is_refused() {
        assert_eq!(StackEnd::from_wire(13), None);
    }
}
