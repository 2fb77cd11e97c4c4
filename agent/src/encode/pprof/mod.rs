//! Profiles to gzipped pprof (`perftools.profiles`), readable by every pprof tool.

mod builder;
mod cpu;
mod proto;
#[cfg(test)]
pub(crate) mod testing;
mod trust;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

pub use cpu::{merged, service};
pub use trust::trust;

use crate::aggregate::ProfileWindow;

/// When a profile was taken and what one sample of it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Start, wall time, in nanoseconds since 1970.
    pub start_unix_ns: u64,
    /// Length in nanoseconds.
    pub duration_ns: u64,
    /// CPU time that one sample stands for, in nanoseconds.
    pub period_ns: u64,
}

impl From<&ProfileWindow> for Timing {
    fn from(window: &ProfileWindow) -> Self {
        Self {
            start_unix_ns: window.start_unix_ns,
            duration_ns: window.duration_ns,
            period_ns: window.period_ns,
        }
    }
}

/// Equal profiles give equal bytes: the gzip header carries no time and no name.
fn gzip(profile: &proto::Profile) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&profile.encode_to_vec()).expect("writing to memory does not fail");
    gzip.finish().expect("writing to memory does not fail")
}
