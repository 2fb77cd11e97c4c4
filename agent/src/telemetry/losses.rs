//! Everything that was lost, by reason: for the metrics, and for the trust profile of each window.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use sonde_ebpf::DropReason;

use super::ReasonLabels;

/// Handles that share their counts when cloned.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    samples: Family<ReasonLabels, Counter>,
    process_facts: Family<ReasonLabels, Counter>,
    untold: Arc<Untold>,
}

/// Losses that no window's trust profile tells of yet, by reason.
#[derive(Debug)]
struct Untold([AtomicU64; DropReason::ALL.len()]);

impl Default for Untold {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Losses {
    /// Counts losses: samples, or what [`DropReason::loses_samples`] says is lost instead.
    pub fn count(&self, reason: DropReason, count: u64) {
        if count == 0 {
            return;
        }
        self.tell_again(reason, count);
        let family = if reason.loses_samples() { &self.samples } else { &self.process_facts };
        family.get_or_create(&ReasonLabels { reason: reason.label() }).inc_by(count);
    }

    /// Counts losses that were counted before, but whose trust profile was lost itself.
    pub fn tell_again(&self, reason: DropReason, count: u64) {
        self.untold.0[reason.index() as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// Losses since the last call, by reason; those that did not happen are left out.
    #[must_use]
    pub fn take_untold(&self) -> Vec<(DropReason, u64)> {
        let taken = DropReason::ALL.iter().map(|reason| {
            (*reason, self.untold.0[reason.index() as usize].swap(0, Ordering::Relaxed))
        });
        taken.filter(|(_, count)| *count > 0).collect()
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "samples_dropped",
            "Stack samples that were lost, by reason",
            self.samples.clone(),
        );
        registry.register(
            "process_facts_dropped",
            "Records of processes, and regions, files and system calls of theirs, that were lost, by reason",
            self.process_facts.clone(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(family: &Family<ReasonLabels, Counter>, reason: &'static str) -> u64 {
        family.get_or_create(&ReasonLabels { reason }).get()
    }

    #[test]
    fn a_loss_is_told_by_one_window_and_stays_in_the_metrics() {
        let losses = Losses::default();
        losses.count(DropReason::SampleRingFull, 3);
        losses.count(DropReason::RecordInvalid, 0);
        assert_eq!(losses.take_untold(), [(DropReason::SampleRingFull, 3)]);
        assert_eq!(losses.take_untold(), []);
        assert_eq!(metric(&losses.samples, "sample_ring_full"), 3);
    }

    #[test]
    fn what_was_told_in_vain_is_told_again_but_counted_once() {
        let losses = Losses::default();
        losses.count(DropReason::WindowFull, 3);
        for (reason, count) in losses.take_untold() {
            losses.tell_again(reason, count);
        }
        assert_eq!(losses.take_untold(), [(DropReason::WindowFull, 3)]);
        assert_eq!(metric(&losses.samples, "window_full"), 3);
    }

    #[test]
    fn records_of_processes_are_not_counted_as_samples() {
        let losses = Losses::default();
        losses.count(DropReason::ProcessRingFull, 2);
        assert_eq!(metric(&losses.samples, "process_ring_full"), 0);
        assert_eq!(metric(&losses.process_facts, "process_ring_full"), 2);
    }
}
