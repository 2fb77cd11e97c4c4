//! Closed windows to bytes of public formats: pprof, folded stacks, SVG. No I/O and no clock: what is
//! done with the bytes is `export`'s and the command's.
#![forbid(unsafe_code)]

mod folded;
mod frame;
pub mod pprof;
mod svg;

pub use folded::folded;
pub use svg::{Heading, SvgError, svg};
