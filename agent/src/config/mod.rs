//! What was typed, set and written, to checked settings. Parsing touches nothing but the files named.
#![forbid(unsafe_code)]

mod secret;

pub use secret::Secret;
