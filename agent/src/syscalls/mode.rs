//! How much of system calls is measured.

use crate::kernel::SyscallWatch;

/// What of system calls is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyscallMode {
    /// Nothing.
    Off,
    /// Sleeps in them.
    Waits,
    /// That, and every call in bursts.
    Sampled,
    /// That, and every call always.
    Always,
}

impl SyscallMode {
    /// All, in the order of what they cost.
    pub const ALL: [Self; 4] = [Self::Off, Self::Waits, Self::Sampled, Self::Always];

    /// What it is called in settings.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Waits => "waits",
            Self::Sampled => "sampled",
            Self::Always => "always",
        }
    }

    /// What the kernel has to count for it.
    #[must_use]
    pub const fn watch(self) -> SyscallWatch {
        match self {
            Self::Off => SyscallWatch::Off,
            Self::Waits => SyscallWatch::Waits,
            Self::Sampled | Self::Always => SyscallWatch::Calls,
        }
    }
}
