// @ts-check
// Where a key leads in the tree.

import { childrenOf } from "../model/tree.js";

/**
 * @param {import("../model/tree.js").Tree} tree
 * @param {number} here
 * @param {string} key
 * @param {boolean} upwards whether callees are drawn above their callers
 * @returns {number | null} null: not a key of the graph
 */
export function walk(tree, here, key, upwards) {
  const above = tree.parent[here];
  if (key === (upwards ? "ArrowUp" : "ArrowDown")) return childrenOf(tree, here)[0] ?? here;
  if (key === (upwards ? "ArrowDown" : "ArrowUp")) return above < 0 ? here : above;
  const { start, items } = tree.rows;
  const [first, end] = [start[tree.depth[here]], start[tree.depth[here] + 1]];
  const at = items.indexOf(here, first);
  if (key === "ArrowLeft") return items[Math.max(at - 1, first)];
  if (key === "ArrowRight") return items[Math.min(at + 1, end - 1)];
  if (key === "Home") return items[first];
  return key === "End" ? items[end - 1] : null;
}
