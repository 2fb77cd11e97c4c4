//! The table of functions: exact sums over the untrimmed tree.

use std::cmp::Reverse;

use super::pattern::Pattern;
use super::tree::Tree;

/// One function of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Index into [`Tree::frames`].
    pub frame: usize,
    /// The largest node of this function, for its source line.
    pub node: usize,
    /// Measured in the function itself.
    pub own: i64,
    /// With everything it called; recursion counts once.
    pub total: i64,
}

/// Column to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// [`Row::own`]
    Own,
    /// [`Row::total`]
    Total,
}

/// All functions under `root` whose names match, sorted; equal values by name.
#[must_use]
pub fn top(
    tree: &Tree,
    root: usize,
    pattern: Option<&Pattern>,
    sort: Sort,
    ascending: bool,
) -> Vec<Row> {
    let mut rows = sums(tree, root);
    let matches = |row: &Row| pattern.is_none_or(|p| p.is_match(&tree.frames[row.frame].name));
    rows.retain(matches);
    let value = |row: &Row| if sort == Sort::Own { row.own } else { row.total };
    let name = |row: &Row| (&tree.frames[row.frame].name, &tree.frames[row.frame].binary);
    if ascending {
        rows.sort_unstable_by_key(|row| (value(row), name(row)));
    } else {
        rows.sort_unstable_by_key(|row| (Reverse(value(row)), name(row)));
    }
    rows
}

fn sums(tree: &Tree, root: usize) -> Vec<Row> {
    let mut rows: Vec<Option<Row>> = vec![None; tree.frames.len()];
    // Where the outermost open node of each function ends: nodes before it are recursion.
    let mut open_until = vec![0_usize; tree.frames.len()];
    for node in root..tree.end.get(root).map_or(root, |&end| end as usize) {
        if !tree.frame(node).is_some_and(|frame| frame.kind.is_code()) {
            continue;
        }
        let frame = tree.frame[node] as usize;
        let (own, total) = tree.values(node);
        let row = rows[frame].get_or_insert(Row { frame, node, own: 0, total: 0 });
        row.own = row.own.saturating_add(own);
        if node >= open_until[frame] {
            row.total = row.total.saturating_add(total);
            open_until[frame] = tree.end[node] as usize;
        }
        if total > tree.total[row.node] {
            row.node = node;
        }
    }
    rows.into_iter().flatten().collect()
}
