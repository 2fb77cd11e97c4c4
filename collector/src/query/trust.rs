//! What agents say about their own work: how many stacks and frames are whole, what was lost, what
//! it cost. Read from the `sonde_trust` profiles that they push beside the others.

use std::collections::BTreeMap;

use serde::Serialize;

/// Stack ends that count as complete. Between two programs a process has no user stack that could be
/// missing.
const COMPLETE: [&str; 3] = ["complete", "frame_pointer_root", "in_exec"];

/// Something counted under a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Label of the reason.
    pub reason: String,
    /// How often.
    pub count: i64,
}

/// CPU time of the agents themselves, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Of their processes.
    pub agent_cpu_ns: i64,
    /// Of their BPF programs.
    pub bpf_cpu_ns: i64,
}

/// All of it, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// How stacks ended; complete ones included.
    pub stacks: Vec<Count>,
    /// What became of frames; `named` included.
    pub frames: Vec<Count>,
    /// Samples that were dropped on the way.
    pub lost: Vec<Count>,
    /// Facts about processes that were: samples are there, but may lack names.
    pub missed: Vec<Count>,
    /// What it cost.
    pub cost: Cost,
}

impl Trust {
    /// Whether a stack end means that the stack is whole.
    #[must_use]
    pub fn is_complete(reason: &str) -> bool {
        COMPLETE.contains(&reason)
    }
}

/// Reads merged trust stacks, outermost name first: `events` counts, `costs` nanoseconds. Counts
/// of stacks and frames are taken of the services that `of_service` accepts. Names that are not
/// known are left out: a newer agent may say more.
#[must_use]
pub fn trust<'a>(
    events: impl IntoIterator<Item = (Vec<&'a str>, i64)>,
    costs: impl IntoIterator<Item = (Vec<&'a str>, i64)>,
    of_service: impl Fn(&str) -> bool,
) -> Trust {
    let [mut stacks, mut frames, mut lost, mut missed] =
        [(); 4].map(|()| BTreeMap::<String, i64>::new());
    for (names, count) in events {
        let (sums, reason) = match names[..] {
            ["stacks", reason, service] if of_service(service) => (&mut stacks, reason),
            ["frames", reason, service] if of_service(service) => (&mut frames, reason),
            ["lost", reason] => (&mut lost, reason),
            ["missed", reason] => (&mut missed, reason),
            _ => continue,
        };
        *sums.entry(reason.to_owned()).or_default() += count;
    }
    let mut cost = Cost::default();
    for (names, ns) in costs {
        match names[..] {
            ["agent", "cpu"] => cost.agent_cpu_ns += ns,
            ["agent", "bpf"] => cost.bpf_cpu_ns += ns,
            _ => {}
        }
    }
    let [stacks, frames, lost, missed] = [stacks, frames, lost, missed].map(sorted);
    Trust { stacks, frames, lost, missed, cost }
}

/// Largest first, equal counts by reason.
fn sorted(sums: BTreeMap<String, i64>) -> Vec<Count> {
    let mut counts: Vec<Count> =
        sums.into_iter().map(|(reason, count)| Count { reason, count }).collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.count));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_added_by_reason_and_only_of_the_chosen_services() {
        let events = vec![
            (vec!["stacks", "complete", "a"], 90),
            (vec!["stacks", "complete", "b"], 5),
            (vec!["stacks", "truncated", "a"], 3),
            (vec!["frames", "named", "a"], 900),
            (vec!["lost", "ring_full"], 7),
            (vec!["missed", "process_ring_full"], 6),
            (vec!["something", "new"], 1),
        ];
        let costs = vec![(vec!["agent", "cpu"], 40), (vec!["agent", "bpf"], 2)];
        let trust = trust(events, costs, |service| service == "a");
        let count = |reason: &str, count| Count { reason: reason.to_owned(), count };
        assert_eq!(trust.stacks, [count("complete", 90), count("truncated", 3)]);
        assert_eq!(trust.frames, [count("named", 900)]);
        assert_eq!(trust.lost, [count("ring_full", 7)]);
        assert_eq!(trust.missed, [count("process_ring_full", 6)]);
        assert_eq!(trust.cost, Cost { agent_cpu_ns: 40, bpf_cpu_ns: 2 });
    }
}
