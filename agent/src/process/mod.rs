//! Which process, which container, which service: what is known of the processes on this host, and
//! what their addresses mean. Names of functions are not its business.

#![forbid(unsafe_code)]

mod cgroup;
mod environment;
mod files;
mod identity;
mod mappings;
pub mod maps;
mod stat;
mod table;

pub use cgroup::{CgroupPath, Cgroups};
pub use files::{FileIndex, FileTable, MappedFile};
pub use identity::Identity;
pub use mappings::{CodeAddress, CodeFile, CodeRegion, Mappings};
pub use stat::start_ticks;
pub use table::{Attribution, LookCounts, ProcessTable, TableCounts};
