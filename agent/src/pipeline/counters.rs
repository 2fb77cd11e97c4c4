//! What the pipeline counts on its way.

use sonde_ebpf::DropReason;

use crate::telemetry::{Health, Metrics};

/// Handles that share their counts when cloned.
#[derive(Clone, Default)]
pub struct Counters {
    /// The outside's view.
    pub metrics: Metrics,
    /// Told of every round of the drain thread.
    pub health: Health,
}

impl Counters {
    /// Counts losses.
    pub fn lost(&self, reason: DropReason, count: u64) {
        self.metrics.losses.count(reason, count);
    }
}
