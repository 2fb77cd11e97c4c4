//! Which functions of a tree a pattern finds, and how much of it they hold.

use super::pattern::Pattern;
use super::tree::Tree;

/// What was found under a root, in the untrimmed tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// Distinct functions found.
    pub functions: usize,
    /// Nodes found.
    pub frames: usize,
    /// Their total; a match inside a match counts once.
    pub total: i64,
    /// For each of the tree's frames, whether its name matches (also outside the root).
    pub matching: Vec<bool>,
}

/// Searches the subtree of `root` for functions whose name matches.
#[must_use]
pub fn search(tree: &Tree, root: usize, pattern: &Pattern) -> Matches {
    let matching: Vec<bool> = tree
        .frames
        .iter()
        .map(|frame| frame.kind.is_code() && pattern.is_match(&frame.name))
        .collect();
    let mut seen = vec![false; matching.len()];
    let mut found = Matches::default();
    let mut counted_until = root;
    for node in root..tree.end.get(root).map_or(root, |&end| end as usize) {
        let frame = tree.frame[node] as usize;
        if !matching.get(frame).copied().unwrap_or(false) {
            continue;
        }
        found.frames += 1;
        found.functions += usize::from(!std::mem::replace(&mut seen[frame], true));
        if node >= counted_until {
            found.total += tree.total[node];
            counted_until = tree.end[node] as usize;
        }
    }
    Matches { matching, ..found }
}
