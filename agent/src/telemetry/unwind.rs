//! Metrics of the unwinder.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

/// Handles that share their counts when cloned.
#[derive(Clone, Debug, Default)]
pub struct UnwindMetrics {
    /// Bytes of tables that the kernel side can use now.
    pub table_bytes: Gauge,
    /// Bytes of tables that there is room for.
    pub table_limit_bytes: Gauge,
    /// Tables, of 64 KiB of text each.
    pub pages: Gauge,
    /// Tables that were built.
    pub pages_built: Counter,
    /// Tables that made room for others.
    pub pages_evicted: Counter,
    /// Stacks that the agent completed because the kernel side lacked a table.
    pub stacks_resumed: Counter,
    /// Processes that could not be told to the kernel side for want of room.
    pub processes_refused: Counter,
    /// Files whose tables are for the agent alone, for want of room.
    pub files_refused: Counter,
}

impl UnwindMetrics {
    pub(super) fn register(&self, ours: &mut Registry) {
        let bytes = || Unit::Bytes;
        let help = "Memory that unwind tables take in the kernel";
        ours.register_with_unit("unwind_table", help, bytes(), self.table_bytes.clone());
        let help = "Memory that unwind tables may take";
        ours.register_with_unit(
            "unwind_table_limit",
            help,
            bytes(),
            self.table_limit_bytes.clone(),
        );
        let help = "Unwind tables that are loaded, one for each 64 KiB of text";
        ours.register("unwind_pages", help, self.pages.clone());
        let help = "Unwind tables that were built";
        ours.register("unwind_pages_built", help, self.pages_built.clone());
        let help = "Unwind tables that made room for others";
        ours.register("unwind_pages_evicted", help, self.pages_evicted.clone());
        let help = "Stacks completed by the agent because the kernel side had no table yet";
        ours.register("stacks_resumed", help, self.stacks_resumed.clone());
        let help = "Processes that the kernel side had no room for";
        ours.register("unwind_processes_refused", help, self.processes_refused.clone());
        let help = "Files that the kernel side had no room for";
        ours.register("unwind_files_refused", help, self.files_refused.clone());
    }
}
