// @ts-check
// Which frames a search lights up: those that match, and what runs beneath them.

import { matcherOf } from "./pattern.js";

/**
 * @param {import("./tree.js").Tree} tree
 * @param {string} q what is searched now; the tree may still answer an older question
 * @returns {Uint8Array | null} per node: 2 matches, 1 beneath a match, 0 outside; null without a search
 */
export function litNodes(tree, q) {
  if (q === "") return null;
  const names = matchingNames(tree, q);
  const lit = new Uint8Array(tree.count);
  for (let node = 0; node < tree.count; node++) {
    const above = tree.parent[node];
    if (names[tree.name[node]] === 1) lit[node] = 2;
    else if (above >= 0 && lit[above] > 0) lit[node] = 1;
  }
  return lit;
}

/** @param {import("./tree.js").Tree} tree @param {string} q */
function matchingNames(tree, q) {
  const names = new Uint8Array(tree.names.length);
  if (tree.match?.q === q) for (const name of tree.match.names) names[name] = 1;
  else tree.names.map(matcherOf(q)).forEach((hit, name) => { names[name] = hit ? 1 : 0; });
  return names;
}

/**
 * Nodes that match, in drawing order.
 * @param {Uint8Array | null} lit
 */
export function matchesIn(lit) {
  const found = [];
  if (lit) for (let node = 0; node < lit.length; node++) if (lit[node] === 2) found.push(node);
  return found;
}
