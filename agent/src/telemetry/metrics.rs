//! Every metric of the agent, declared once with its help text. Labels come from enums: no process
//! and no service can make a series.

use std::sync::atomic::AtomicU64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::{Losses, UnwindMetrics, own_usage::OwnUsage};
use crate::export::otlp::OtlpMetrics;
use crate::export::push::PushMetrics;
use crate::process::LookCounts;
use crate::requests::RequestMetrics;
use crate::saturation::SaturationCollector;
use crate::symbol::debuginfod::DebuginfodMetrics;
use crate::syscalls::SyscallMetrics;

/// Why something was lost or refused: the label of the enum that counts it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabels {
    /// The reason's label.
    pub reason: &'static str,
}

/// How stacks ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StackEndLabels {
    /// The label of the stack's end.
    pub end: &'static str,
}

/// What became of frames.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FrameLabels {
    /// `named`, or the label of an unknown reason.
    pub result: &'static str,
}

/// A BPF program.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProgramLabels {
    /// The program's name.
    pub program: &'static str,
}

/// What came of a look for a region of a process that no event told of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LookLabels {
    /// `found`, `in_vain`, or `put_off` for addresses that nobody looked for.
    pub result: &'static str,
}

/// How a burst of counting ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BurstLabels {
    /// `whole`, or `budget` for one that was ended because it cost too much.
    pub end: &'static str,
}

/// A counter of seconds.
pub type SecondsCounter = Counter<f64, AtomicU64>;

/// Handles that share their counts when cloned, one for each metric.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Samples that came out of the ring buffer.
    pub samples_received: Counter,
    /// What was lost on the way.
    pub losses: Losses,
    /// Stacks by how they ended.
    pub stacks: Family<StackEndLabels, Counter>,
    /// Frames by what became of them.
    pub frames: Family<FrameLabels, Counter>,
    /// Processes that are known.
    pub processes: Gauge,
    /// Looks for regions that no event told of.
    pub region_looks: Family<LookLabels, Counter>,
    /// Windows that were closed.
    pub windows_closed: Counter,
    /// CPU time of BPF programs, by their own account.
    pub bpf_run_seconds: Family<ProgramLabels, SecondsCounter>,
    /// The unwinder's tables.
    pub unwind: UnwindMetrics,
    /// What became of debug files that were wanted.
    pub debuginfod: DebuginfodMetrics,
    /// Addresses for which debug information was there but not used.
    pub debug_info_losses: Family<ReasonLabels, Counter>,
    /// What became of pushes.
    pub push: PushMetrics,
    /// What became of spans and metrics that were to be sent.
    pub otlp: OtlpMetrics,
    /// Requests over HTTP that processes served and sent.
    pub requests: RequestMetrics,
    /// System calls.
    pub syscalls: SyscallMetrics,
    /// For how many calls one that was counted stands; 0 while nobody counts.
    pub syscall_sampling: Gauge<f64, AtomicU64>,
    /// Bursts in which calls were counted, by how they ended.
    pub syscall_bursts: Family<BurstLabels, Counter>,
}

impl Metrics {
    /// All metrics under their names, together with those that are read when asked for.
    #[must_use]
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(OwnUsageCollector));
        self.requests.register(&mut registry);
        registry.register_collector(Box::new(self.syscalls.clone()));
        registry.register_collector(Box::<SaturationCollector>::default());
        let ours = registry.sub_registry_with_prefix("sonde_agent");
        self.register_samples(ours);
        self.register_stages(ours);
        self.unwind.register(ours);
        self.debuginfod.register(ours);
        self.push.register(ours);
        self.otlp.register(ours);
        let build = vec![("version", env!("CARGO_PKG_VERSION"))];
        ours.register("build", "Version of this agent", Info::new(build));
        registry
    }

    /// Counts the looks since `before`.
    pub fn count_looks(&self, now: LookCounts, before: LookCounts) {
        for (result, count) in [
            ("found", now.found - before.found),
            ("in_vain", now.in_vain - before.in_vain),
            ("put_off", now.put_off - before.put_off),
        ] {
            self.region_looks.get_or_create(&LookLabels { result }).inc_by(count);
        }
    }

    fn register_samples(&self, ours: &mut Registry) {
        ours.register(
            "samples_received",
            "Stack samples read from the ring buffer",
            self.samples_received.clone(),
        );
        self.losses.register(ours);
    }

    fn register_stages(&self, ours: &mut Registry) {
        ours.register("stacks", "User stacks by how they ended", self.stacks.clone());
        ours.register(
            "frames",
            "Frames of samples by whether they have a name, or why not",
            self.frames.clone(),
        );
        ours.register(
            "debug_info_losses",
            "Addresses for which debug information was there but not used, by reason",
            self.debug_info_losses.clone(),
        );
        ours.register("processes", "Processes that are known", self.processes.clone());
        ours.register(
            "region_looks",
            "Looks for the mapping around an address that no event told of, by what came of them",
            self.region_looks.clone(),
        );
        ours.register(
            "syscall_sampling_factor",
            "For how many system calls one that was counted stands: 1 if all are, 0 if none is",
            self.syscall_sampling.clone(),
        );
        ours.register(
            "syscall_bursts",
            "Bursts in which all system calls were counted, by how they ended",
            self.syscall_bursts.clone(),
        );
        ours.register("windows_closed", "Windows that were closed", self.windows_closed.clone());
        ours.register_with_unit(
            "bpf_run",
            "CPU time of the agent's BPF programs, as of the last window",
            Unit::Seconds,
            self.bpf_run_seconds.clone(),
        );
    }
}

/// The OpenMetrics text of a registry.
///
/// # Errors
/// When a metric cannot be written as text, which is a bug in its declaration.
pub(super) fn text(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}

/// The process metrics that every Prometheus client names the same.
#[derive(Debug)]
struct OwnUsageCollector;

impl Collector for OwnUsageCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        // Without /proc there is no figure, and no series is better than a wrong one.
        let Ok(usage) = OwnUsage::read() else { return Ok(()) };
        let cpu = ConstCounter::new(std::time::Duration::from_nanos(usage.cpu_ns).as_secs_f64());
        let help = "CPU time of this process, user and kernel";
        let kind = cpu.metric_type();
        let seconds = Some(&Unit::Seconds);
        cpu.encode(encoder.encode_descriptor("process_cpu", help, seconds, kind)?)?;
        let resident = i64::try_from(usage.resident_bytes).unwrap_or(i64::MAX);
        let memory = ConstGauge::new(resident);
        let help = "Resident memory of this process";
        let kind = memory.metric_type();
        let bytes = Some(&Unit::Bytes);
        memory.encode(encoder.encode_descriptor("process_resident_memory", help, bytes, kind)?)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use sonde_ebpf::DropReason;

    use super::*;

    #[test]
    fn handles_count_into_the_text() {
        let metrics = Metrics::default();
        let registry = metrics.registry();
        metrics.samples_received.inc_by(3);
        metrics.losses.count(DropReason::SampleRingFull, 2);
        metrics.losses.count(DropReason::ProcessRingFull, 5);
        let program = ProgramLabels { program: "cpu_sample" };
        metrics.bpf_run_seconds.get_or_create(&program).inc_by(0.25);
        let text = text(&registry).unwrap();
        for line in [
            "sonde_agent_samples_received_total 3",
            "sonde_agent_samples_dropped_total{reason=\"sample_ring_full\"} 2",
            "sonde_agent_process_facts_dropped_total{reason=\"process_ring_full\"} 5",
            "sonde_agent_bpf_run_seconds_total{program=\"cpu_sample\"} 0.25",
            "sonde_agent_push_requests_total{outcome=\"queue_full\"} 0",
            "sonde_agent_debuginfod_files_total{outcome=\"fetched\"} 0",
            "sonde_agent_push_queue_bytes 0",
            concat!("sonde_agent_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing:\n{text}");
        }
        assert!(text.contains("\nprocess_cpu_seconds_total "), "{text}");
        assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
    }

    #[test]
    fn the_text_ends_as_openmetrics_asks_and_names_each_metric_once() {
        let text = text(&Metrics::default().registry()).unwrap();
        assert!(text.ends_with("# EOF\n"), "{text}");
        let mut helped: Vec<_> = text.lines().filter(|line| line.starts_with("# HELP")).collect();
        let all = helped.len();
        helped.sort_unstable();
        helped.dedup();
        assert!(all > 10 && helped.len() == all, "{text}");
    }
}
