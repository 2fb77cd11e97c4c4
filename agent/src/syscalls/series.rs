//! The series of system calls: what tells them apart, and what is known of each. They are handed out
//! whole, for whoever writes them down.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Unit,
};
use rustc_hash::FxHashMap;
use sonde_ebpf::syscall::{BUCKETS, bucket_end_ns};

use crate::kernel::SyscallKind;

/// Series of each metric; what comes beyond shares one.
const MAX_SERIES: usize = 2000;
/// A series that was not used in so long is forgotten.
const STALE_NS: u64 = 15 * 60 * 1_000_000_000;
/// Buckets that are told of; what is longer, 17 s and more, is told of together.
const TOLD_BUCKETS: usize = 25;
/// What OpenTelemetry calls series beyond a limit.
const OVERFLOW: &str = "otel_metric_overflow";

/// What tells series apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SyscallLabels {
    /// Calls of one kind.
    Of {
        /// `service.name` of the process.
        service: Arc<str>,
        /// Id of its container.
        container_id: Option<Arc<str>>,
        /// `syscall.name`.
        syscall: Box<str>,
        /// `error.type`; empty without one.
        error: Box<str>,
    },
    /// All for which there was no room.
    Overflow,
}

impl SyscallLabels {
    fn written(&self) -> Vec<(&'static str, &str)> {
        let Self::Of { service, container_id, syscall, error } = self else {
            return vec![(OVERFLOW, "true")];
        };
        let mut labels = vec![("service_name", &**service)];
        labels.extend(container_id.as_deref().map(|id| ("container_id", id)));
        labels.push(("syscall_name", syscall));
        if !error.is_empty() {
            labels.push(("error_type", error));
        }
        labels
    }
}

/// What is known of a series since it began. Of calls that are counted in bursts it is an estimate,
/// and so no whole number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SyscallTotals {
    /// Time of all in seconds.
    pub sum_seconds: f64,
    /// How many there were, by the kernel's buckets.
    pub buckets: [f64; BUCKETS],
}

impl SyscallTotals {
    /// Adds what the kernel counted, `scale` times.
    pub fn add(&mut self, sum_ns: u64, buckets: &[u32; BUCKETS], scale: f64) {
        self.sum_seconds += std::time::Duration::from_nanos(sum_ns).as_secs_f64() * scale;
        for (total, count) in self.buckets.iter_mut().zip(buckets) {
            *total += f64::from(*count) * scale;
        }
    }

    /// Upper ends in seconds, and the whole numbers of calls up to each and above the one before.
    fn told(&self) -> (Vec<(f64, u64)>, u64) {
        let (mut told, mut sum, mut before) = (Vec::with_capacity(TOLD_BUCKETS + 1), 0.0, 0);
        for (bucket, count) in self.buckets.iter().enumerate() {
            sum += count;
            let end = bucket_end_ns(bucket).filter(|_| bucket < TOLD_BUCKETS);
            let end = end.map(|ns| std::time::Duration::from_nanos(ns).as_secs_f64());
            let is_last = bucket == BUCKETS - 1;
            if end.is_none() && !is_last {
                continue;
            }
            // Rounded as sums: what is told never falls.
            let whole = rounded(sum);
            told.push((end.unwrap_or(f64::INFINITY), whole - before));
            before = whole;
        }
        (told, before)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a sum of counts is not negative, and 2^53 calls would take years"
)]
fn rounded(count: f64) -> u64 {
    count.round() as u64
}

/// The series. Handles that share them when cloned.
#[derive(Clone, Debug, Default)]
pub struct SyscallMetrics(Arc<Mutex<[Series; 2]>>);

type Series = FxHashMap<SyscallLabels, Held>;

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    totals: SyscallTotals,
    last_ns: u64,
}

impl SyscallMetrics {
    /// Adds what the kernel counted of one kind of calls, `scale` times.
    pub fn add(
        &self,
        kind: SyscallKind,
        labels: SyscallLabels,
        counted: (u64, &[u32; BUCKETS]),
        scale: f64,
        now_ns: u64,
    ) {
        let series = &mut self.lock()[kind as usize];
        let has_room = series.len() < MAX_SERIES || series.contains_key(&labels);
        let labels = if has_room { labels } else { SyscallLabels::Overflow };
        let held = series.entry(labels).or_default();
        held.last_ns = now_ns;
        held.totals.add(counted.0, counted.1, scale);
    }

    /// Forgets series that were not used for long.
    pub fn expire(&self, now_ns: u64) {
        for series in &mut *self.lock() {
            series.retain(|_, held| now_ns.saturating_sub(held.last_ns) < STALE_NS);
        }
    }

    /// Hands out all series of a kind.
    pub fn visit(&self, kind: SyscallKind, mut visit: impl FnMut(&SyscallLabels, &SyscallTotals)) {
        for (labels, held) in &self.lock()[kind as usize] {
            visit(labels, &held.totals);
        }
    }

    fn lock(&self) -> MutexGuard<'_, [Series; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Name and help of each metric.
const METRICS: [(SyscallKind, &str, &str); 2] = [
    (
        SyscallKind::Wait,
        "process_syscall_wait_duration",
        "Time that threads slept in system calls, each sleep until the thread ran again",
    ),
    (
        SyscallKind::Call,
        "process_syscall_duration",
        "Duration of system calls that returned, by how they ended; scaled up where they are sampled",
    ),
];

impl Collector for SyscallMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (kind, name, help) in METRICS {
            let mut series = Vec::new();
            self.visit(kind, |labels, totals| series.push((labels.clone(), *totals)));
            if series.is_empty() {
                continue;
            }
            let seconds = Some(&Unit::Seconds);
            let mut metric =
                encoder.encode_descriptor(name, help, seconds, MetricType::Histogram)?;
            for (labels, totals) in &series {
                let (buckets, count) = totals.told();
                metric.encode_family(&labels.written())?.encode_histogram::<NoLabelSet>(
                    totals.sum_seconds,
                    count,
                    &buckets,
                    None,
                )?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    fn labels(service: &str, error: &str) -> SyscallLabels {
        SyscallLabels::Of {
            service: service.into(),
            container_id: None,
            syscall: "read".into(),
            error: error.into(),
        }
    }

    fn text(metrics: &SyscallMetrics) -> String {
        let (mut registry, mut text) = (Registry::default(), String::new());
        registry.register_collector(Box::new(metrics.clone()));
        encode(&mut text, &registry).expect("written");
        text
    }

    fn one_in(bucket: usize) -> [u32; BUCKETS] {
        let mut buckets = [0; BUCKETS];
        buckets[bucket] = 1;
        buckets
    }

    #[test]
    fn a_series_is_a_histogram_with_the_kernel_s_own_bounds() {
        let metrics = SyscallMetrics::default();
        let add = |bucket, scale| {
            let counted = (20_000_000, &one_in(bucket));
            metrics.add(SyscallKind::Call, labels("shop", "EAGAIN"), counted, scale, 5);
        };
        add(15, 1.0);
        add(30, 2.5);
        let of = "service_name=\"shop\",syscall_name=\"read\",error_type=\"EAGAIN\"";
        let name = "process_syscall_duration_seconds";
        let text = text(&metrics);
        for line in [
            format!("# TYPE {name} histogram"),
            format!("{name}_sum{{{of}}} 0.07"),
            format!("{name}_count{{{of}}} 4"),
            format!("{name}_bucket{{le=\"0.016777216\",{of}}} 0"),
            format!("{name}_bucket{{le=\"0.033554432\",{of}}} 1"),
            format!("{name}_bucket{{le=\"17.179869184\",{of}}} 1"),
            format!("{name}_bucket{{le=\"+Inf\",{of}}} 4"),
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is missing:\n{text}");
        }
        assert!(!text.contains("wait"), "what nobody counts is not there:\n{text}");
    }

    #[test]
    fn series_beyond_the_limit_share_one_and_all_go_stale() {
        let metrics = SyscallMetrics::default();
        let add = |service: &str, now_ns| {
            metrics.add(SyscallKind::Wait, labels(service, ""), (1, &one_in(0)), 1.0, now_ns);
        };
        for number in 0..MAX_SERIES + 3 {
            add(&number.to_string(), 5);
        }
        let shared = "process_syscall_wait_duration_seconds_count{otel_metric_overflow=\"true\"} 3";
        assert!(text(&metrics).contains(shared));
        add("7", STALE_NS);
        metrics.expire(STALE_NS + 10);
        let mut left = Vec::new();
        metrics.visit(SyscallKind::Wait, |labels, _| left.push(labels.clone()));
        assert_eq!(left, [labels("7", "")]);
    }
}
