//! One stack sample, as the kernel programs write it into the `SAMPLES` ring buffer.

use crate::limits::COMM_BYTES;

/// The fixed part of a sample. `user_frames`, then `kernel_frames` addresses (`u64`) follow it, leaf
/// first each.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleHeader {
    /// Process id as userspace says it: what the kernel calls `tgid`.
    pub pid: u32,
    /// Thread id as userspace says it: what the kernel calls `pid`.
    pub tid: u32,
    /// Time of the sample on `CLOCK_BOOTTIME`, in nanoseconds.
    pub boot_ns: u64,
    /// The thread's cgroup (version 2 hierarchy), which outlives the process as a name for it.
    pub cgroup_id: u64,
    /// Name of the thread, padded with zeros.
    pub comm: [u8; COMM_BYTES],
    /// Number of user addresses that follow.
    pub user_frames: u16,
    /// Number of kernel addresses after those.
    pub kernel_frames: u16,
    /// Why the user stack ends where it does: a [`StackEnd`].
    pub stack_end: u32,
}

const _: () = assert!(size_of::<SampleHeader>() == 48, "no padding: the agent reads these bytes");

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, no padding (asserted above), and every bit pattern is a valid value.
unsafe impl aya::Pod for SampleHeader {}

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
}

impl StackEnd {
    /// Every end, in wire order.
    pub const ALL: [Self; 6] = [
        Self::Complete,
        Self::Truncated,
        Self::NoMapping,
        Self::ReadFault,
        Self::KernelThread,
        Self::FramePointerEnd,
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
        }
    }
}

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use super::{SampleHeader, StackEnd};

    #[test]
    fn the_header_s_layout_is_what_the_kernel_side_was_compiled_for() {
        assert_eq!(offset_of!(SampleHeader, boot_ns), 8);
        assert_eq!(offset_of!(SampleHeader, comm), 24);
        assert_eq!(offset_of!(SampleHeader, user_frames), 40);
        assert_eq!(offset_of!(SampleHeader, stack_end), 44);
    }

    #[test]
    fn every_stack_end_comes_back_from_its_wire_value() {
        for end in StackEnd::ALL {
            assert_eq!(StackEnd::from_wire(end as u32), Some(end));
        }
    }

    #[test]
    fn a_stack_end_from_a_newer_kernel_side_is_refused() {
        assert_eq!(StackEnd::from_wire(6), None);
    }
}
