//! Every number of a tree's views, compared with a plain computation on the raw stacks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::tree::{Call, Merge};
use super::*;

type Stacks = Vec<(Vec<String>, i64)>;

fn stacks() -> impl Strategy<Value = Stacks> {
    let stack = proptest::collection::vec("[a-e]", 0..7);
    proptest::collection::vec((stack, 1_i64..1000), 0..40)
}

fn tree(stacks: &Stacks) -> Tree {
    let mut merge = Merge::new();
    for (names, value) in stacks {
        let calls: Vec<Call> = names
            .iter()
            .map(|name| Call {
                frame: merge.frame(&Arc::from(name.as_str()), &Arc::from("bin")),
                file: 0,
                line: 0,
            })
            .collect();
        merge.add(&calls, *value);
    }
    merge.finish()
}

fn names_to(tree: &Tree, node: usize) -> Vec<String> {
    let path = tree.path(node);
    path[1..].iter().filter_map(|&n| tree.frame(n)).map(|f| f.name.to_string()).collect()
}

fn sum(stacks: &Stacks, keep: impl Fn(&[String]) -> bool) -> i64 {
    stacks.iter().filter(|(names, _)| keep(names)).map(|(_, value)| value).sum()
}

#[test]
fn a_service_is_a_box_above_its_functions_and_no_function_itself() {
    let mut merge = Merge::new();
    let service = merge.frame(&Arc::from("shop"), &Arc::from(kind::SERVICE));
    let function = merge.frame(&Arc::from("shop"), &Arc::from("shop"));
    let call = |frame| Call { frame, file: 0, line: 0 };
    merge.add(&[call(service), call(function)], 7);
    let tree = merge.finish();
    assert_eq!(tree.len(), 3);
    assert_eq!(tree.id(1), service_id("shop"));
    let pattern = Pattern::parse("shop").expect("a word");
    let rows = top(&tree, 0, Some(&pattern), Sort::Total, false);
    assert_eq!(rows.len(), 1, "the service is not in the table: {rows:?}");
    let found = search(&tree, 0, &pattern);
    assert_eq!((found.functions, found.frames, found.total), (1, 1, 7));
}

proptest! {
    #[test]
    fn self_and_total_are_sums_over_stacks(stacks in stacks()) {
        let tree = tree(&stacks);
        let chains: BTreeSet<&[String]> =
            stacks.iter().flat_map(|(s, _)| (0..=s.len()).map(|n| &s[..n])).collect();
        prop_assert_eq!(tree.len(), chains.len().max(1));
        for node in 0..tree.len() {
            let chain = names_to(&tree, node);
            let total = sum(&stacks, |names| names.starts_with(&chain));
            prop_assert_eq!(tree.values(node), (sum(&stacks, |names| names == chain), total));
            prop_assert_eq!(tree.find(tree.id(node)), Some(node));
        }
    }

    #[test]
    fn a_trimmed_view_hides_nothing(stacks in stacks(), width in 1_u32..60, pick in any::<usize>()) {
        let tree = tree(&stacks);
        let root = pick % tree.len();
        let view = trim(&tree, root, width);
        prop_assert_eq!(view.nodes[0], Node { node: root, depth: 0, x: 0 });
        let mut seen = view.nodes.len();
        for (at, node) in view.nodes.iter().enumerate() {
            let (own, total) = tree.values(node.node);
            let below = |n: &&Node| n.node != root && tree.path(n.node).iter().rev().nth(1) == Some(&node.node);
            let children: Vec<&Node> = view.nodes.iter().filter(below).collect();
            let mut x = node.x;
            for child in &children {
                prop_assert_eq!((child.x, child.depth), (x, node.depth + 1));
                x += tree.values(child.node).1;
                prop_assert!(tree.values(child.node).1 * i64::from(width) >= tree.values(root).1);
            }
            let filler = view.fillers.iter().find(|filler| filler.parent == at);
            if let Some(filler) = filler {
                prop_assert_eq!((filler.x, filler.depth), (x, node.depth + 1));
                seen += filler.frames;
            }
            let shown = x - node.x;
            prop_assert_eq!(total, own + shown + filler.map_or(0, |filler| filler.total));
        }
        let chain = names_to(&tree, root);
        let below: BTreeSet<&[String]> = stacks.iter().filter(|(s, _)| s.starts_with(&chain))
            .flat_map(|(s, _)| (chain.len()..=s.len()).map(|n| &s[..n])).collect();
        prop_assert_eq!(seen, below.len().max(1));
        prop_assert_eq!(view.max_depth as usize, below.iter().map(|c| c.len() - chain.len()).max().unwrap_or(0));
    }

    #[test]
    fn the_table_counts_recursion_once(stacks in stacks(), pick in any::<usize>()) {
        let tree = tree(&stacks);
        let root = pick % tree.len();
        let chain = names_to(&tree, root);
        let mut expected: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for (names, value) in stacks.iter().filter(|(names, _)| names.starts_with(&chain)) {
            let under = &names[chain.len().saturating_sub(1)..];
            for name in under.iter().collect::<BTreeSet<_>>() {
                expected.entry(name.clone()).or_default().1 += value;
            }
            if let Some(leaf) = under.last() {
                expected.entry(leaf.clone()).or_default().0 += value;
            }
        }
        let rows = top(&tree, root, None, Sort::Total, false);
        prop_assert!(rows.is_sorted_by_key(|row| std::cmp::Reverse(row.total)));
        let got: BTreeMap<String, (i64, i64)> = rows.iter()
            .map(|row| (tree.frames[row.frame].name.to_string(), (row.own, row.total))).collect();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn a_search_counts_nested_matches_once(stacks in stacks(), pick in any::<usize>()) {
        let tree = tree(&stacks);
        let root = pick % tree.len();
        let chain = names_to(&tree, root);
        let from = chain.len().saturating_sub(1);
        let hit = |name: &String| name == "a" || name == "b";
        let pattern = Pattern::parse("/^[ab]$/").expect("a good pattern");
        let found = search(&tree, root, &pattern);
        let total = sum(&stacks, |names| names.starts_with(&chain) && names[from..].iter().any(hit));
        prop_assert_eq!(found.total, total);
        let nodes: BTreeSet<&[String]> = stacks.iter().filter(|(s, _)| s.starts_with(&chain))
            .flat_map(|(s, _)| (from + 1..=s.len()).map(|n| &s[..n]))
            .filter(|chain| chain.last().is_some_and(hit)).collect();
        prop_assert_eq!(found.frames, nodes.len());
        let functions: BTreeSet<_> = nodes.iter().filter_map(|chain| chain.last()).collect();
        prop_assert_eq!(found.functions, functions.len());
    }

    #[test]
    fn folded_lines_are_the_stacks(stacks in stacks(), pick in any::<usize>()) {
        let tree = tree(&stacks);
        let root = pick % tree.len();
        let chain = names_to(&tree, root);
        let mut expected: BTreeMap<String, i64> = BTreeMap::new();
        for (names, value) in stacks.iter().filter(|(s, _)| !s.is_empty() && s.starts_with(&chain)) {
            *expected.entry(names.join(";")).or_default() += value;
        }
        let text = folded(&tree, root);
        let got: BTreeMap<String, i64> = text.lines()
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(stack, value)| (stack.to_owned(), value.parse().expect("a number"))).collect();
        prop_assert_eq!(got, expected);
    }
}

#[test]
fn siblings_come_largest_first_then_by_name() {
    let stack = |name: &str, value| (vec![name.to_owned()], value);
    let tree = tree(&vec![stack("d", 1), stack("c", 5), stack("a", 5), stack("b", 9)]);
    let names: Vec<_> = tree.children(0).map(|node| names_to(&tree, node).concat()).collect();
    assert_eq!(names, ["b", "a", "c", "d"]);
}
