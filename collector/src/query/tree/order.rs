//! The order of a tree's nodes: depth first, siblings largest first, equal ones by name.

use super::{Tree, index};
use crate::query::node_id::NodeId;

/// Old node indices in the new order, with what the order tells: depth and new parent.
pub(super) struct DepthFirst {
    old: Vec<u32>,
    depth: Vec<u32>,
    parent: Vec<u32>,
}

impl DepthFirst {
    pub(super) fn of(tree: &Tree, total: &[i64]) -> Self {
        let (starts, mut children) = children_of(&tree.parent);
        let name = |child: &u32| {
            let frame = &tree.frames[tree.frame[*child as usize] as usize];
            (&frame.name, &frame.binary)
        };
        let by_total = |a: &u32, b: &u32| {
            let larger = total[*b as usize].cmp(&total[*a as usize]);
            larger.then_with(|| name(a).cmp(&name(b)))
        };
        let nodes = tree.parent.len();
        for node in 0..nodes {
            let siblings = &mut children[starts[node]..starts[node + 1]];
            if siblings.len() > 1 {
                siblings.sort_unstable_by(by_total);
            }
        }
        let mut order = Self {
            old: Vec::with_capacity(nodes),
            depth: Vec::with_capacity(nodes),
            parent: Vec::with_capacity(nodes),
        };
        let mut waiting = vec![(0_u32, 0_u32, 0_u32)];
        while let Some((node, depth, parent)) = waiting.pop() {
            let at = index(order.old.len());
            order.old.push(node);
            order.depth.push(depth);
            order.parent.push(parent);
            let node = node as usize;
            let below = &children[starts[node]..starts[node + 1]];
            waiting.extend(below.iter().rev().map(|&child| (child, depth + 1, at)));
        }
        order
    }

    pub(super) fn arrange(self, tree: Tree, total: &[i64]) -> Tree {
        let pick = |column: &[u32]| self.old.iter().map(|&old| column[old as usize]).collect();
        let sums = |column: &[i64]| self.old.iter().map(|&old| column[old as usize]).collect();
        let mut sorted = Tree {
            frames: tree.frames,
            files: tree.files,
            frame: pick(&tree.frame),
            file: pick(&tree.file),
            line: pick(&tree.line),
            own: sums(&tree.own),
            total: sums(total),
            end: ends(&self.parent),
            depth: self.depth,
            parent: self.parent,
            id: Vec::new(),
        };
        sorted.id = ids(&sorted);
        sorted
    }
}

/// Children of every node: `children[starts[n]..starts[n + 1]]`.
fn children_of(parents: &[u32]) -> (Vec<usize>, Vec<u32>) {
    let mut starts = vec![0; parents.len() + 1];
    for &parent in &parents[1..] {
        starts[parent as usize + 1] += 1;
    }
    for node in 0..parents.len() {
        starts[node + 1] += starts[node];
    }
    let mut next = starts.clone();
    let mut children = vec![0; parents.len() - 1];
    for (child, &parent) in parents.iter().enumerate().skip(1) {
        let at = &mut next[parent as usize];
        children[*at] = index(child);
        *at += 1;
    }
    (starts, children)
}

fn ends(parents: &[u32]) -> Vec<u32> {
    let mut ends: Vec<u32> = (1..=index(parents.len())).collect();
    for node in (1..parents.len()).rev() {
        let parent = parents[node] as usize;
        ends[parent] = ends[parent].max(ends[node]);
    }
    ends
}

fn ids(tree: &Tree) -> Vec<u64> {
    let mut ids = vec![NodeId::ALL.0; tree.frame.len()];
    for node in 1..ids.len() {
        let frame = &tree.frames[tree.frame[node] as usize];
        let parent = NodeId(ids[tree.parent[node] as usize]);
        ids[node] = parent.child(&frame.name, &frame.binary).0;
    }
    ids
}
