//! The part of a tree that a screen can show. What is too narrow is not left out silently: it
//! becomes a filler with its exact value and count.

use super::tree::Tree;

/// A box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Index in the tree.
    pub node: usize,
    /// Rows below the view's root.
    pub depth: u32,
    /// Left edge, in value units from the left edge of the view's root.
    pub x: i64,
}

/// All siblings that are too narrow, in one box behind the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filler {
    /// Rows below the view's root.
    pub depth: u32,
    /// Left edge, as [`Node::x`].
    pub x: i64,
    /// Sum of the siblings.
    pub total: i64,
    /// Nodes hidden: the siblings and all below them.
    pub frames: usize,
    /// Index of the parent in [`View::nodes`].
    pub parent: usize,
}

/// A trimmed tree. For each node: total = self + totals of its children and its filler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Boxes, depth first, the root first.
    pub nodes: Vec<Node>,
    /// Fillers, in the order of their parents.
    pub fillers: Vec<Filler>,
    /// Deepest row under the root in the untrimmed tree, so that a page knows its height.
    pub max_depth: u32,
}

/// Keeps the boxes that are at least one of `width` pixels wide when `root` fills them.
#[must_use]
pub fn trim(tree: &Tree, root: usize, width: u32) -> View {
    let Some(&whole) = tree.total.get(root) else { return View::default() };
    let fits = |node: usize| {
        whole > 0 && i128::from(tree.total[node]) * i128::from(width) >= i128::from(whole)
    };
    let base = tree.depth[root];
    let deepest = tree.depth[root..tree.end[root] as usize].iter().max();
    let mut view =
        View { max_depth: deepest.map_or(0, |deepest| deepest - base), ..View::default() };
    let mut waiting = vec![Node { node: root, depth: 0, x: 0 }];
    while let Some(node) = waiting.pop() {
        let parent = view.nodes.len();
        view.nodes.push(node);
        let first = waiting.len();
        let (depth, mut x) = (node.depth + 1, node.x);
        for child in tree.children(node.node) {
            if !fits(child) {
                view.fillers.push(filler(tree, Node { node: child, depth, x }, node, parent));
                break;
            }
            waiting.push(Node { node: child, depth, x });
            x += tree.total[child];
        }
        waiting[first..].reverse();
    }
    view
}

/// Children come largest first, so all from `first` on are hidden.
fn filler(tree: &Tree, first: Node, parent_node: Node, parent: usize) -> Filler {
    let end = tree.end[parent_node.node] as usize;
    let shown = first.x - parent_node.x;
    let total = tree.total[parent_node.node] - tree.own[parent_node.node] - shown;
    Filler { depth: first.depth, x: first.x, total, frames: end - first.node, parent }
}
