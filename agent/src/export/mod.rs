//! Encoded windows out of the process, over bounded queues. Nothing here blocks the stages before it:
//! what cannot be kept is dropped under a reason.
#![forbid(unsafe_code)]

mod http;
pub mod otlp;
pub mod push;
