//! The stages of the agent, from the kernel's bytes to what is sent.

pub mod symbol;
