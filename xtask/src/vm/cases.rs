//! What runs in the guest besides the probe: workloads of `tests/workloads` whose call chains are
//! known, and how much of their own stacks the agent must see.

use crate::workloads::C_FLAGS;

/// One recording.
pub(super) struct Case {
    /// The workload; also the recording's name.
    pub(super) program: &'static str,
    /// Its source in `tests/workloads`, for architectures that it is built for here.
    pub(super) source: &'static str,
    /// What the compiler is told of it there.
    pub(super) flags: &'static [&'static str],
    arguments: &'static str,
    /// Functions that a sample of it is in, one of them each.
    leaves: &'static [&'static str],
    /// A chain of calls somewhere above them, without a gap, outermost first.
    chain: Vec<&'static str>,
}

pub(super) fn cases() -> [Case; 3] {
    let called = [
        "chain_1", "chain_2", "chain_3", "chain_4", "chain_5", "chain_6", "chain_7", "chain_8",
        "chain_9", "chain_10", "chain_11", "chain_12",
    ];
    let deep = ["deep_a", "deep_b", "deep_c"].into_iter().cycle().take(900);
    [
        Case {
            program: "shares",
            source: "shares.c",
            flags: &C_FLAGS,
            arguments: "6",
            leaves: &["work_sixty", "work_thirty", "work_ten"],
            chain: ["main"].into_iter().chain(called).chain(["round_of_work"]).collect(),
        },
        // Through libc into the kernel: a function of the kernel, and its callers in the program.
        Case {
            program: "syscalls",
            source: "syscalls.c",
            flags: &C_FLAGS,
            arguments: "6",
            leaves: &["vfs_read"],
            chain: vec!["main", "copy_zeroes"],
        },
        // Without frame pointers, and deeper than a kernel without loops walks at a time.
        Case {
            program: "chains-static",
            source: "bare/chains.c",
            flags: &["-O2", "-g", "-fomit-frame-pointer", "-DNO_PLUGIN"],
            arguments: "6 deep",
            leaves: &["spin_deep"],
            chain: ["main", "deep"].into_iter().chain(deep).collect(),
        },
    ]
}

/// Samples that a recording must have at least, of some 290: the guest is slow, not idle.
const MIN_SAMPLES: u64 = 60;
/// Percentage of the recording that is in the leaves.
const MIN_IN_LEAVES: u64 = 80;
/// Percentage of those with the whole chain above.
const MIN_COMPLETE: u64 = 95;

impl Case {
    /// The line of the guest's list of cases.
    pub(super) fn line(&self) -> String {
        format!("{0} {0} {1}\n", self.program, self.arguments)
    }

    /// What is wrong with the recording, or how many of how many samples have the whole chain.
    pub(super) fn judge(&self, folded: &str) -> Result<String, String> {
        let (mut all, mut in_leaves, mut complete) = (0, 0, 0);
        for line in folded.lines().filter(|line| !line.is_empty()) {
            let Some((stack, count)) = split(line) else {
                return Err(format!("{}: no stack with a count: {line:?}", self.program));
            };
            let frames: Vec<&str> = stack.split(';').collect();
            all += count;
            let Some(leaf) = frames.iter().position(|frame| self.leaves.contains(frame)) else {
                continue;
            };
            in_leaves += count;
            if frames[..leaf].windows(self.chain.len()).any(|run| run == self.chain.as_slice()) {
                complete += count;
            }
        }
        let told = format!(
            "{}: of {all} samples {in_leaves} where it works, {complete} with all callers",
            self.program
        );
        let enough = all >= MIN_SAMPLES
            && in_leaves * 100 >= all * MIN_IN_LEAVES
            && complete * 100 >= in_leaves * MIN_COMPLETE;
        if enough { Ok(told) } else { Err(told) }
    }
}

fn split(line: &str) -> Option<(&str, u64)> {
    let (stack, count) = line.rsplit_once(' ')?;
    Some((stack, count.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(from: usize, leaf: &str, count: u64) -> String {
        let chain = cases()[0].chain[from..].join(";");
        format!("shares;{chain};{leaf} {count}\n")
    }

    #[test]
    fn a_recording_with_the_whole_chain_is_accepted() {
        let folded = stack(0, "work_sixty", 180) + &stack(0, "work_ten;[kernel];tick", 20);
        let told = cases()[0].judge(&folded);
        assert!(told.as_ref().is_ok_and(|told| told.contains("200 with all")), "{told:?}");
    }

    #[test]
    fn a_caller_that_is_missing_is_told() {
        let folded = stack(0, "work_sixty", 180) + &stack(3, "work_sixty", 20);
        let told = cases()[0].judge(&folded);
        assert!(told.as_ref().is_err_and(|told| told.contains("180 with all")), "{told:?}");
    }

    #[test]
    fn callers_of_the_kernel_s_functions_are_the_program_s() {
        let called = "syscalls;main;copy_zeroes;read;do_syscall_64;vfs_read;read_zero 200\n";
        let alone = "syscalls;main;read_zeroes;read;do_syscall_64;vfs_read;read_zero 200\n";
        assert!(cases()[1].judge(called).is_ok());
        assert!(cases()[1].judge(alone).is_err());
    }

    #[test]
    fn addresses_without_names_are_not_accepted() {
        assert!(cases()[0].judge("shares;[no symbols: shares] 290\n").is_err());
        assert!(cases()[0].judge("").is_err());
        assert!(cases()[0].judge("sonde-agent: refused\n").is_err());
    }
}
