//! Ring-buffer bytes to owned events. The only module that reads kernel memory layouts.

mod pod;
mod process;
mod sample;
mod socket;

pub use process::{Inode, MappedRegion, ProcessEvent, ProcessEventKind, decode_process_event};
pub use sample::{Sample, StackRest};
pub use socket::SocketCall;
pub(crate) use socket::used_bytes;

/// Why a record was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The record ends before what its header promises.
    #[error("{got} bytes left where the record promises {need}")]
    Short {
        /// Bytes that were left.
        got: usize,
        /// Bytes that were promised.
        need: usize,
    },
    /// A field holds a value this side has no meaning for.
    #[error("{field} has the unknown wire value {value}")]
    UnknownValue {
        /// Name of the field.
        field: &'static str,
        /// What it holds.
        value: u32,
    },
}
