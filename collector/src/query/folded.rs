//! A tree as folded stacks, one line each: `main;serve;read 42`.

use super::tree::Tree;

/// The stacks under `root` that hold something themselves, with the path above them, in the tree's
/// order. What would break a line (`;`, control characters) is replaced in names.
#[must_use]
pub fn folded(tree: &Tree, root: usize) -> String {
    let mut out = String::new();
    let above = tree.path(root);
    let mut names: Vec<String> =
        above.iter().take(above.len() - 1).skip(1).map(|&node| name(tree, node)).collect();
    let levels_above = names.len();
    let base = tree.depth[root];
    for node in root..tree.end[root] as usize {
        if node > 0 {
            let level = (tree.depth[node] - base) as usize;
            names.truncate(levels_above + if root == 0 { level - 1 } else { level });
            names.push(name(tree, node));
        }
        let (own, _) = tree.values(node);
        if own != 0 && node > 0 {
            out.push_str(&names.join(";"));
            out.push_str(&format!(" {own}\n"));
        }
    }
    out
}

fn name(tree: &Tree, node: usize) -> String {
    let name = tree.frame(node).map_or("all", |frame| &frame.name);
    name.replace(';', ":").replace(char::is_control, " ")
}
