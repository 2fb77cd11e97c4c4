//! Why something was lost on its way from the kernel to the outside. The number is the index into
//! the kernel's `DROPS` array, the label is the one that metrics carry, so the two cannot disagree.

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident = $index:literal, $label:literal;)+) => {
        /// A reason for which samples or events are dropped. Append, never renumber.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum DropReason { $($(#[$doc])* $name = $index,)+ }

        impl DropReason {
            /// Every reason, in the order of the kernel's array.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The value of the metric label `reason`.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }
        }
    };
}

drop_reasons! {
    /// Kernel: the ring buffer had no room for a sample.
    SampleRingFull = 0, "sample_ring_full";
    /// Kernel: a perf ring had no room for process events; names may be missing.
    ProcessRingFull = 1, "process_ring_full";
    /// Agent: the drain thread's batch found the queue to the pipeline full.
    PipelineQueueFull = 2, "pipeline_queue_full";
    /// Agent: a sample did not decode.
    RecordInvalid = 3, "record_invalid";
    /// Agent: a window held more distinct stacks than it may.
    WindowFull = 4, "window_full";
    /// Agent: a record of a process did not decode.
    ProcessRecordInvalid = 5, "process_record_invalid";
    /// Agent: a process maps more regions than are kept of one.
    RegionTableFull = 6, "region_table_full";
    /// Agent: more files are mapped at once than are kept.
    FileTableFull = 7, "file_table_full";
    /// Agent: the queue to the network was full.
    ExportQueueFull = 8, "export_queue_full";
    /// Agent: the server refused the profile for good.
    ExportRefused = 9, "export_refused";
    /// Agent: the server failed on the profile again and again.
    ExportGivenUp = 10, "export_given_up";
    /// Agent: it ended before the profile was delivered.
    ExportUnsent = 11, "export_unsent";
    /// Kernel: the ring buffer had no room for what a call did to a socket.
    SocketRingFull = 12, "socket_ring_full";
    /// Agent: the queue from the thread that empties the socket ring was full.
    SocketQueueFull = 13, "socket_queue_full";
    /// Agent: a record of a socket did not decode.
    SocketRecordInvalid = 14, "socket_record_invalid";
    /// Agent: a call on a connection beyond those that are followed at a time.
    TooManyConnections = 15, "too_many_connections";
    /// Kernel: a system call of a process, call and error beyond those that are counted at a time.
    SyscallTableFull = 16, "syscall_table_full";
    /// Kernel: a system call of a thread whose place another thread has.
    SyscallPlaceTaken = 17, "syscall_place_taken";
    /// The kernel gave no memory to remember a socket by, so a call on it was not looked at.
    SocketNotKept = 18, "socket_not_kept";
    /// Agent: a span beyond those that wait to be handed on.
    TooManySpans = 19, "too_many_spans";
    /// The kernel left out a call on a socket, because the program that looks at them was interrupted
    /// on the same CPU by a thread that made another.
    SocketProgramBusy = 20, "socket_program_busy";
}

impl DropReason {
    /// Index into the kernel's array.
    #[must_use]
    pub const fn index(self) -> u32 {
        self as u32
    }

    /// Whether samples are what is lost. The other reasons count what is missing of what is known of
    /// processes (records, regions, files), so that samples may lack names, and system calls, on sockets and others.
    #[must_use]
    pub const fn loses_samples(self) -> bool {
        !matches!(
            self,
            Self::ProcessRingFull
                | Self::ProcessRecordInvalid
                | Self::RegionTableFull
                | Self::FileTableFull
                | Self::SocketRingFull
                | Self::SocketQueueFull
                | Self::SocketRecordInvalid
                | Self::TooManyConnections
                | Self::SocketNotKept
                | Self::SocketProgramBusy
                | Self::TooManySpans
                | Self::SyscallTableFull
                | Self::SyscallPlaceTaken
        )
    }
}

#[cfg(test)]
mod tests {
    use super::DropReason;

    #[test]
    fn a_reason_s_place_in_the_list_is_its_index_in_the_kernel() {
        for (place, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(place, reason.index() as usize, "{reason:?}");
        }
    }

    #[test]
    fn no_two_reasons_share_a_label() {
        for (place, reason) in DropReason::ALL.iter().enumerate() {
            for other in &DropReason::ALL[place + 1..] {
                assert_ne!(reason.label(), other.label());
            }
        }
    }
}
