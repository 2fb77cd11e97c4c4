//! What became of every debug file that was asked for.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

/// How asking for a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is in the cache.
    Fetched,
    /// No server has it.
    Absent,
    /// No server had it not long ago, so none was asked.
    AbsentRemembered,
    /// It is larger than one file may be.
    TooLarge,
    /// A server sent something else.
    WrongFile,
    /// No server has it, and one could not be asked or did not answer as it should.
    Failed,
    /// It could not be written to the cache.
    CacheFailed,
    /// Too many others are waiting; it is asked for later.
    Deferred,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 8] = [
        Self::Fetched,
        Self::Absent,
        Self::AbsentRemembered,
        Self::TooLarge,
        Self::WrongFile,
        Self::Failed,
        Self::CacheFailed,
        Self::Deferred,
    ];

    /// The metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::Absent => "absent",
            Self::AbsentRemembered => "absent_remembered",
            Self::TooLarge => "too_large",
            Self::WrongFile => "wrong_file",
            Self::Failed => "failed",
            Self::CacheFailed => "cache_failed",
            Self::Deferred => "deferred",
        }
    }
}

/// The label set of the counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// [`Outcome::label`].
    pub outcome: &'static str,
}

/// Handles that share their counts when cloned.
#[derive(Clone, Debug)]
pub struct DebuginfodMetrics {
    /// Files by outcome.
    pub files: Family<OutcomeLabels, Counter>,
    /// Bytes that servers sent, also of files that were not kept.
    pub received_bytes: Counter,
}

impl Default for DebuginfodMetrics {
    /// All outcomes at zero, so that a rate is seen from the first event on.
    fn default() -> Self {
        let metrics = Self { files: Family::default(), received_bytes: Counter::default() };
        for outcome in Outcome::ALL {
            let _ = metrics.files.get_or_create(&OutcomeLabels { outcome: outcome.label() });
        }
        metrics
    }
}

impl DebuginfodMetrics {
    /// Counts an outcome.
    pub fn count(&self, outcome: Outcome) {
        self.files.get_or_create(&OutcomeLabels { outcome: outcome.label() }).inc();
    }

    /// Names the metrics in a registry.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Debug files that were wanted from debuginfod servers, by what became of it";
        registry.register("debuginfod_files", help, self.files.clone());
        let help = "Size of what debuginfod servers sent";
        registry.register_with_unit(
            "debuginfod_received",
            help,
            Unit::Bytes,
            self.received_bytes.clone(),
        );
    }
}
