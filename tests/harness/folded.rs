//! Folded stacks of a recording, held against chains of calls that a workload declares.

use anyhow::{Context as _, Result};

/// One line: the frames from the thread's start to the leaf, and how many samples had them.
#[derive(Debug)]
pub struct Stack {
    /// The service's name.
    pub service: String,
    /// Frames of the program and its libraries; the kernel's are left out.
    pub user: Vec<String>,
    /// The kernel was at exec.
    pub in_exec: bool,
    /// Samples.
    pub count: u64,
}

/// A chain of calls as its workload declares it, and what it used.
#[derive(Debug)]
pub struct Chain {
    /// What the workload calls it.
    pub name: String,
    /// CPU time in nanoseconds, or another measure that all chains of the workload share.
    pub used: u64,
    frames: Vec<String>,
}

/// Where threads begin, as C libraries and Go name it.
const STARTS: [&str; 9] = [
    "_start",
    // What ld.so's `_start` goes on in.
    "_dl_start_user",
    "clone3",
    "__clone3",
    "start_thread",
    "__clone",
    "runtime.goexit",
    "runtime.clone",
    // musl's `clone`, which Debian has no symbol for.
    "[stripped: libc.so]",
];

/// Where functions of the kernel begin, when the processor has left user space.
const KERNEL_ENTRIES: [&str; 4] = ["asm_", "entry_SYSCALL", "ret_from_fork", "error_entry"];
/// `*` stands for at least one frame and at most this many.
const MOST_SKIPPED: usize = 16;

/// Reads a file of folded stacks.
///
/// # Errors
/// When a line has no count.
pub fn read(text: &str) -> Result<Vec<Stack>> {
    text.lines().map(stack).collect()
}

fn stack(line: &str) -> Result<Stack> {
    let (frames, count) = line.rsplit_once(' ').context("a line has no count")?;
    let kernel = |frame: &&str| KERNEL_ENTRIES.iter().any(|entry| frame.starts_with(entry));
    let mut frames = frames.split(';');
    let service = frames.next().unwrap_or_default().to_owned();
    let user = frames.take_while(|frame| !kernel(frame)).map(str::to_owned).collect();
    let count = count.parse().with_context(|| format!("{count:?} is no count"))?;
    let in_exec = line.contains(";__x64_sys_execve") || line.contains(";__arm64_sys_execve");
    Ok(Stack { service, user, in_exec, count })
}

/// The chains that a workload's output declares, in lines of `SHARE name used frame;frame;…`. What
/// several of its processes used of one is added up.
///
/// # Errors
/// When such a line lacks something, or there is none.
pub fn chains(output: &str) -> Result<Vec<Chain>> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("SHARE "));
    let mut chains: Vec<Chain> = Vec::new();
    for line in lines {
        let declared = chain(line)?;
        match chains.iter_mut().find(|known| known.name == declared.name) {
            Some(known) => known.used += declared.used,
            None => chains.push(declared),
        }
    }
    anyhow::ensure!(!chains.is_empty(), "the workload declared no chain: {output}");
    Ok(chains)
}

fn chain(line: &str) -> Result<Chain> {
    let mut words = line.splitn(3, ' ');
    let (Some(name), Some(used), Some(frames)) = (words.next(), words.next(), words.next()) else {
        anyhow::bail!("{line:?} declares no chain");
    };
    let frames = frames.split(';').flat_map(expand).collect();
    Ok(Chain { name: name.to_owned(), used: used.parse()?, frames })
}

/// `60(a,b)` is 60 frames, a and b in turn.
fn expand(word: &str) -> Vec<String> {
    let ring = word.strip_suffix(')').and_then(|word| word.split_once('('));
    let numbered = ring.and_then(|(count, names)| Some((count.parse().ok()?, names)));
    let Some((count, names)) = numbered else { return vec![word.to_owned()] };
    names.split(',').cycle().take(count).map(str::to_owned).collect()
}

impl Chain {
    /// Whether these frames are of this chain: its first function is called by `start`'s, or by the
    /// thread's start.
    #[must_use]
    pub fn has(&self, user: &[String]) -> bool {
        self.from(user).is_some()
    }

    fn from<'a>(&self, user: &'a [String]) -> Option<&'a [String]> {
        user.iter().position(|frame| same(&self.frames[0], frame)).map(|at| &user[at..])
    }

    fn leaf(&self) -> &str {
        self.frames.last().map_or("*", String::as_str)
    }

    /// Whether the stack is this chain from its first function to its leaf, nothing missing and
    /// nothing added.
    #[must_use]
    pub fn is_whole(&self, user: &[String]) -> bool {
        self.from(user).is_some_and(|user| fits(&self.frames, user, false))
    }

    /// Whether the stack is this chain from its first function on, if perhaps on the way down.
    #[must_use]
    pub fn is_begun(&self, user: &[String]) -> bool {
        self.from(user).is_some_and(|user| fits(&self.frames, user, true))
    }
}

/// Whether frames begin where threads do. At its end, and between two programs, a process has no user
/// stack.
pub(crate) fn reaches_the_start(user: &[String]) -> bool {
    user.first().is_none_or(|frame| STARTS.contains(&frame.as_str()))
}

/// How well stacks show chains whose leaves are their own, in percent of the samples in these leaves
/// and in percentage points. A stack that breaks off is known by its leaf alone.
#[derive(Debug, PartialEq)]
pub struct Shown {
    /// Stacks that reach their thread's start.
    pub whole: f64,
    /// Those of them that are the chain, nothing missing and nothing added.
    pub exact: f64,
    /// The share that is furthest from the true one.
    pub off_by: f64,
}

impl Shown {
    /// Compares. Chains whose leaf is any library's are left out.
    #[must_use]
    pub fn of(chains: &[Chain], stacks: &[Stack]) -> Self {
        let own: Vec<&Chain> = chains.iter().filter(|chain| chain.leaf() != "*").collect();
        let count = |chain: &Chain, wanted: fn(&Chain, &Stack) -> bool| -> u64 {
            let at_leaf = |stack: &&Stack| stack.user.iter().any(|frame| same(chain.leaf(), frame));
            let wanted = stacks.iter().filter(at_leaf).filter(|stack| wanted(chain, stack));
            wanted.map(|stack| stack.count).sum()
        };
        let sum = |wanted| -> u64 { own.iter().map(|chain| count(chain, wanted)).sum() };
        let all = precise(sum(|_, _| true).max(1));
        let used = precise(own.iter().map(|chain| chain.used).sum::<u64>().max(1));
        let off = |chain: &&Chain| {
            (precise(count(chain, |_, _| true)) / all - precise(chain.used) / used).abs()
        };
        let exact = |chain: &Chain, stack: &Stack| {
            reaches_the_start(&stack.user) && chain.is_whole(&stack.user)
        };
        Self {
            whole: 100.0 * precise(sum(|_, stack| reaches_the_start(&stack.user))) / all,
            exact: 100.0 * precise(sum(exact)) / all,
            off_by: 100.0 * own.iter().map(off).fold(0.0, f64::max),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of samples are small")]
pub(crate) fn precise(count: u64) -> f64 {
    count as f64
}

fn fits(frames: &[String], user: &[String], or_begun: bool) -> bool {
    match (frames.split_first(), user.split_first()) {
        (None, None) => true,
        (Some(_), None) => or_begun,
        (None, Some(_)) => false,
        (Some((star, rest)), Some(_)) if star == "*" => {
            (1..=user.len().min(MOST_SKIPPED)).any(|skipped| fits(rest, &user[skipped..], or_begun))
        }
        (Some((wanted, rest)), Some((found, below))) => {
            same(wanted, found) && fits(rest, below, or_begun)
        }
    }
}

/// Names of C++ come with types around them.
fn same(wanted: &str, found: &str) -> bool {
    let name = found.split('(').next().unwrap_or(found);
    name == wanted || name.rsplit(' ').next() == Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(line: &str) -> Vec<String> {
        stack(&format!("program;{line} 1")).expect("a line").user
    }

    #[test]
    fn a_frame_left_out_doubled_or_swapped_is_not_the_chain() {
        let chain = chain("deep 5 deep;4(a,b);leaf").expect("a chain");
        assert!(chain.is_whole(&user("_start;main;deep;a;b;a;b;leaf;asm_exc;fault")));
        for wrong in ["deep;a;b;a;leaf", "deep;a;b;a;b;b;leaf", "deep;b;a;b;a;leaf"] {
            assert!(!chain.is_whole(&user(wrong)) && !chain.is_begun(&user(wrong)), "{wrong}");
        }
        assert!(chain.is_begun(&user("main;deep;a;b")) && !chain.is_whole(&user("main;deep;a;b")));
        assert!(!chain.is_begun(&user("main;deep;a;b;a;b;leaf;more")));
    }

    #[test]
    fn processes_that_declare_the_same_chain_used_it_together() {
        let chains = chains("SHARE a 5 f;g\nother\nSHARE b 1 h\nSHARE a 7 f;g\n").expect("two");
        let used: Vec<_> = chains.iter().map(|chain| (chain.name.as_str(), chain.used)).collect();
        assert_eq!(used, [("a", 12), ("b", 1)]);
    }

    #[test]
    fn a_stack_that_breaks_off_counts_for_its_leaf_s_chain() {
        let declared = "SHARE deep 300 deep;4(a,b);spin\nSHARE sort 100 sorted;*;compare;leaf\n";
        let chains = chains(declared).expect("two");
        let shown = |text: &str| Shown::of(&chains, &read(text).expect("folded"));
        let good =
            "x;_start;main;deep;a;b;a;b;spin 3\nx;_start;main;sorted;qsort;merge;compare;leaf 1";
        assert_eq!(shown(good), Shown { whole: 100.0, exact: 100.0, off_by: 0.0 });
        for wrong in ["x;_start;deep;a;b;a;spin 1", "x;_start;deep;a;b;q;a;b;spin 1"] {
            assert_eq!(shown(wrong), Shown { whole: 100.0, exact: 0.0, off_by: 25.0 }, "{wrong}");
        }
        let cut = shown("x;deep;a;b;a;b;spin 1");
        assert_eq!(cut, Shown { whole: 0.0, exact: 0.0, off_by: 25.0 });
    }

    #[test]
    fn a_star_is_at_least_one_frame() {
        let chain = chain("sorted 5 sorted;*;compare").expect("a chain");
        assert!(chain.is_whole(&user("main;sorted;qsort;msort;compare")));
        assert!(!chain.is_whole(&user("main;sorted;compare")));
    }
}
