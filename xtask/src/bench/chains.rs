//! Chains that `tests/workloads/bare/chains.c` declares, and how well stacks show them.

use anyhow::{Context as _, Result};

/// A stack of one program: its user and kernel functions, outermost first.
pub(super) struct Stack {
    frames: Vec<String>,
    count: u64,
}

/// A kind of chain, and the CPU time it really had.
pub(super) struct Chain {
    name: String,
    ns: u64,
    /// Outermost first; nothing stands for some frames of libraries.
    frames: Vec<Option<String>>,
}

/// How well the chains are shown, in percent of their samples and in percentage points.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) whole: f64,
    pub(super) exact: f64,
    pub(super) off_by: f64,
}

/// Where threads begin.
const STARTS: [&str; 4] = ["_start", "clone3", "__clone3", "start_thread"];

impl Chain {
    /// Adds what a process said of its chains: `SHARE name ns frame;frame;…`, `60(a,b)` for 60
    /// frames of these in turn.
    pub(super) fn add_all(chains: &mut Vec<Self>, output: &str) -> Result<()> {
        for line in output.lines().filter_map(|line| line.strip_prefix("SHARE ")) {
            let mut words = line.split(' ');
            let mut word = || words.next().with_context(|| format!("a word is missing: {line}"));
            let (name, ns, frames) = (word()?, word()?.parse().context("a time")?, word()?);
            match chains.iter_mut().find(|chain| chain.name == name) {
                Some(chain) => chain.ns += ns,
                None => chains.push(Self { name: name.into(), ns, frames: expand(frames) }),
            }
        }
        Ok(())
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn leaf(&self) -> Option<&str> {
        self.frames.last()?.as_deref()
    }

    /// Whether the frames are there in order, one behind the other.
    fn is_in(&self, stack: &[String]) -> bool {
        let first = self.frames.first().and_then(Option::as_deref);
        let Some(start) = stack.iter().position(|frame| Some(&**frame) == first) else {
            return false;
        };
        let mut at = start;
        let mut skips = false;
        for frame in &self.frames {
            let Some(frame) = frame else {
                skips = true;
                continue;
            };
            match stack[at.min(stack.len())..].iter().position(|found| found == frame) {
                Some(0) => at += 1,
                Some(distance) if skips => at += distance + 1,
                _ => return false,
            }
            skips = false;
        }
        true
    }
}

fn expand(frames: &str) -> Vec<Option<String>> {
    let mut all = Vec::new();
    for part in frames.split(';') {
        match part.split_once('(') {
            _ if part == "*" => all.push(None),
            Some((count, names)) => {
                let names = names.trim_end_matches(')').split(',').map(|name| Some(name.into()));
                all.extend(names.cycle().take(count.parse().unwrap_or(0)));
            }
            None => all.push(Some(part.into())),
        }
    }
    all
}

/// Compares. Only chains with a leaf of their own count: the others can't be told by their leaf.
pub(super) fn judge(chains: &[Chain], stacks: &[Stack]) -> Seen {
    let own: Vec<&Chain> = chains.iter().filter(|chain| chain.leaf().is_some()).collect();
    let of = |chain: &Chain, wanted: &dyn Fn(&Stack) -> bool| -> f64 {
        let has = |stack: &&Stack| stack.frames.iter().any(|frame| Some(&**frame) == chain.leaf());
        stacks
            .iter()
            .filter(has)
            .filter(|stack| wanted(stack))
            .map(|stack| stack.count)
            .sum::<u64>() as f64
    };
    let sum = |wanted: &dyn Fn(&Chain, &Stack) -> bool| -> f64 {
        own.iter().map(|chain| of(chain, &|stack| wanted(chain, stack))).sum()
    };
    let all = sum(&|_, _| true).max(1.0);
    let starts =
        |stack: &Stack| stack.frames.iter().take(2).any(|frame| STARTS.contains(&frame.as_str()));
    let used = own.iter().map(|chain| chain.ns).sum::<u64>().max(1) as f64;
    let off = |chain: &&Chain| (of(chain, &|_| true) / all - chain.ns as f64 / used).abs() * 100.0;
    Seen {
        whole: 100.0 * sum(&|_, stack| starts(stack)) / all,
        exact: 100.0 * sum(&|chain, stack| starts(stack) && chain.is_in(&stack.frames)) / all,
        off_by: own.iter().map(off).fold(0.0, f64::max),
    }
}

/// Folded stacks: `program;outermost;…;leaf count`.
pub(super) fn folded(text: &str) -> Result<Vec<Stack>> {
    let stack = |line: &str| {
        let (stack, count) = line.rsplit_once(' ').context("a stack without a count")?;
        let mut frames: Vec<String> = stack.split(';').skip(1).map(Into::into).collect();
        // Inlined frames are marked by some.
        frames.iter_mut().for_each(|frame| *frame = frame.trim_end_matches("_[i]").into());
        Ok(Stack { frames, count: count.parse().context("a count")? })
    };
    text.lines().filter(|line| !line.is_empty()).map(stack).collect()
}

/// What `perf script -F comm,ip,sym` writes: a line with the program's name, then a frame a line, leaf
/// first, then an empty line.
pub(super) fn perf_script(text: &str) -> Vec<Stack> {
    let stack = |block: &str| {
        let frame = |line: &str| -> Option<String> {
            let (_address, name) = line.trim().split_once(' ')?;
            Some(name.trim_end_matches(" (inlined)").into())
        };
        let mut frames: Vec<String> =
            block.trim_matches('\n').lines().skip(1).filter_map(frame).collect();
        frames.reverse();
        Stack { frames, count: 1 }
    };
    text.split("\n\n").map(stack).filter(|stack| !stack.frames.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chains() -> Vec<Chain> {
        let mut chains = Vec::new();
        let said = "SHARE deep 300 deep;4(a,b);spin\nSHARE sort 100 sorted;*;compare;spin_sorted\n";
        Chain::add_all(&mut chains, said).expect("is read");
        chains
    }

    #[test]
    fn a_stack_is_exact_if_nothing_is_missing_and_nothing_is_foreign() {
        let text = "x;_start;main;deep;a;b;a;b;spin 3\n\
                    x;_start;main;sorted;qsort;merge;compare;spin_sorted 1\n";
        let seen = judge(&chains(), &folded(text).expect("is read"));
        assert_eq!((seen.whole, seen.exact, seen.off_by), (100.0, 100.0, 0.0));
        for wrong in ["x;_start;deep;a;b;a;spin 1", "x;_start;deep;a;b;q;a;b;spin 1"] {
            let seen = judge(&chains(), &folded(wrong).expect("is read"));
            assert_eq!((seen.whole, seen.exact), (100.0, 0.0), "{wrong}");
        }
        let cut = judge(&chains(), &folded("x;deep;a;b;a;b;spin 1").expect("is read"));
        assert_eq!((cut.whole, cut.exact, cut.off_by), (0.0, 0.0, 25.0));
    }

    #[test]
    fn perf_s_stacks_are_leaf_first() {
        let text = "chains \n\t  55 spin\n\t  66 b\n\t  77 _start\n\nswapper \n\n";
        let stacks = perf_script(text);
        assert_eq!(stacks.len(), 1);
        assert_eq!(stacks[0].frames, ["_start", "b", "spin"]);
    }
}
