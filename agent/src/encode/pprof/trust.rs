//! The profile beside the profiles: what is missing from a window and what taking it cost.
//!
//! Two sample types, `events` (count) and `cost` (nanoseconds), and frames that are only names. Root
//! first: `stacks;REASON;SERVICE`, `frames;REASON;SERVICE`, `lost;REASON` (samples), `missed;REASON`
//! (records of processes, regions, files), `agent;cpu`, `agent;bpf`.

use super::builder::{Builder, clamp};
use super::{Timing, gzip, proto};
use crate::aggregate::{Trust, TrustCount};

/// What is to be known about how far a window can be trusted, as a pprof profile.
#[must_use]
pub fn trust(trust: &Trust, timing: Timing) -> Vec<u8> {
    let mut builder = Builder::new();
    for (root, counts) in [("stacks", &trust.stacks), ("frames", &trust.frames)] {
        add_counts(&mut builder, root, counts);
    }
    for (reason, count) in trust.lost.iter().filter(|(_, count)| *count > 0) {
        let root = if reason.loses_samples() { "lost" } else { "missed" };
        add(&mut builder, &[root, reason.label()], [clamp(*count), 0]);
    }
    add_cost(&mut builder, "cpu", trust.agent_cpu_ns);
    add_cost(&mut builder, "bpf", trust.bpf_cpu_ns);
    gzip(&finish(builder, timing))
}

fn add_counts(builder: &mut Builder<'_>, root: &str, counts: &[TrustCount]) {
    for counted in counts.iter().filter(|counted| counted.count > 0) {
        let mut path = vec![root, counted.reason];
        if !counted.service.is_empty() {
            path.push(&counted.service);
        }
        add(builder, &path, [clamp(counted.count), 0]);
    }
}

/// No sample rather than a zero: a kernel that keeps no account of BPF time says nothing about it.
fn add_cost(builder: &mut Builder<'_>, kind: &str, cost_ns: u64) {
    if cost_ns > 0 {
        add(builder, &["agent", kind], [0, clamp(cost_ns)]);
    }
}

fn add(builder: &mut Builder<'_>, root_first: &[&str], values: [i64; 2]) {
    let leaf_first = root_first.iter().rev().map(|name| builder.named_location(name)).collect();
    builder.sample(leaf_first, values.to_vec(), Vec::new());
}

fn finish(mut builder: Builder<'_>, timing: Timing) -> proto::Profile {
    let events = builder.value_type("events", "count");
    let cost = builder.value_type("cost", "nanoseconds");
    builder.finish(proto::Profile {
        sample_type: vec![events, cost],
        time_nanos: clamp(timing.start_unix_ns),
        duration_nanos: clamp(timing.duration_ns),
        period_type: Some(events),
        period: 1,
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use sonde_ebpf::DropReason;

    use super::*;
    use crate::encode::pprof::testing::*;

    fn counted(reason: &'static str, service: &str, count: u64) -> TrustCount {
        TrustCount { reason, service: service.into(), count }
    }

    fn rows(trusted: &Trust) -> Vec<(String, Vec<i64>)> {
        let profile = decoded(&trust(trusted, TIMING));
        let row = |sample: &proto::Sample| {
            (names(&profile, sample).concat().join("<"), sample.value.clone())
        };
        profile.sample.iter().map(row).collect()
    }

    #[test]
    fn every_kind_of_fact_has_its_own_root() {
        let trusted = Trust {
            stacks: vec![counted("complete", "web", 7)],
            frames: vec![counted("stripped", "web", 3)],
            lost: vec![(DropReason::SampleRingFull, 2), (DropReason::ProcessRingFull, 9)],
            agent_cpu_ns: 5_000,
            bpf_cpu_ns: 900,
        };
        let expected = [
            ("web<complete<stacks", [7, 0]),
            ("web<stripped<frames", [3, 0]),
            ("sample_ring_full<lost", [2, 0]),
            ("process_ring_full<missed", [9, 0]),
            ("cpu<agent", [0, 5_000]),
            ("bpf<agent", [0, 900]),
        ];
        assert_eq!(rows(&trusted), expected.map(|(path, values)| (path.into(), values.to_vec())));
    }

    #[test]
    fn what_was_not_measured_has_no_sample() {
        let trusted = Trust { agent_cpu_ns: 1, ..Trust::default() };
        assert_eq!(rows(&trusted), [("cpu<agent".into(), vec![0, 1])]);
    }
}
