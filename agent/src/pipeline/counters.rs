//! What the pipeline counts on its way, for the metrics and for the trust profile of each window.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use sonde_ebpf::DropReason;

use crate::telemetry::{Health, Metrics, ReasonLabels};

/// Handles that share their counts when cloned.
#[derive(Clone, Default)]
pub struct Counters {
    /// The outside's view.
    pub metrics: Metrics,
    /// Told of every round of the drain thread.
    pub health: Health,
    drops: Arc<Drops>,
}

/// Losses since the last window took them, by reason.
struct Drops([AtomicU64; DropReason::ALL.len()]);

impl Default for Drops {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Counters {
    /// Counts losses.
    pub fn lost(&self, reason: DropReason, count: u64) {
        if count == 0 {
            return;
        }
        self.drops.0[reason.index() as usize].fetch_add(count, Ordering::Relaxed);
        let labels = ReasonLabels { reason: reason.label() };
        self.metrics.samples_dropped.get_or_create(&labels).inc_by(count);
    }

    /// Losses since the last call, by reason; those that did not happen are left out.
    pub(super) fn take_lost(&self) -> Vec<(DropReason, u64)> {
        let taken = DropReason::ALL.iter().map(|reason| {
            (*reason, self.drops.0[reason.index() as usize].swap(0, Ordering::Relaxed))
        });
        taken.filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_reported_by_one_window_and_stays_in_the_metrics() {
        let counters = Counters::default();
        counters.lost(DropReason::SampleRingFull, 3);
        counters.lost(DropReason::RecordInvalid, 0);
        assert_eq!(counters.take_lost(), [(DropReason::SampleRingFull, 3)]);
        assert_eq!(counters.take_lost(), []);
        let labels = ReasonLabels { reason: "sample_ring_full" };
        assert_eq!(counters.metrics.samples_dropped.get_or_create(&labels).get(), 3);
    }
}
