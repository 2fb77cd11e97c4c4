//! A tree as a flame graph in one SVG file, drawn by inferno.

use inferno::flamegraph::{self, Options};

use super::folded::folded;
use super::tree::Tree;

/// Draws the stacks under `root`.
///
/// # Errors
/// There is nothing to draw, or inferno could not draw it.
pub fn svg(tree: &Tree, root: usize, title: &str, unit: &str) -> Result<Vec<u8>, std::io::Error> {
    let mut options = Options::default();
    title.clone_into(&mut options.title);
    unit.clone_into(&mut options.count_name);
    options.deterministic = true;
    let folded = folded(tree, root);
    let mut out = Vec::new();
    flamegraph::from_lines(&mut options, folded.lines(), &mut out)
        .map_err(std::io::Error::other)?;
    Ok(out)
}
