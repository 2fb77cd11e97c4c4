// @ts-check
// A merged tree, trimmed to the screen by the collector, in columns. No object per node: a million would not fit.

import { ALL, childId } from "./nodeid.js";

/** What a frame is made of; the collector's numbers are indices into this. */
export const KINDS = /** @type {const} */ (["native", "kernel", "runtime", "interpreted", "unknown", "service"]);

/**
 * @typedef {object} PathFrame one frame between the start of all stacks and the root of the view
 * @property {string} name
 * @property {string} binary
 * @property {number} kind
 * @property {string} id
 * @property {number} total
 * @property {number} self
 */

/**
 * @typedef {object} Rows items of one depth, left to right: `items[start[d] .. start[d + 1]]`
 * @property {Uint32Array} start
 * @property {Int32Array} items
 */

/** @typedef {ReturnType<typeof decodeTree>} Tree */

/**
 * Columns of the answer to typed arrays, with what drawing and hit tests need beside them.
 * @param {any} answer of /profile/tree
 */
export function decodeTree(answer) {
  const { nodes, fillers } = answer;
  const depth = Uint32Array.from(nodes.depth);
  const path = /** @type {PathFrame[]} */ (answer.path ?? []);
  return {
    type: String(answer.type), unit: String(answer.unit),
    whole: Number(answer.total), events: Number(answer.events ?? 0), nodesInTree: Number(answer.nodes_in_tree ?? 0),
    rootId: String(answer.root?.id ?? ALL), rootMissing: answer.root_missing === true,
    span: { fromMs: Number(answer.from_ms), untilMs: Number(answer.until_ms) },
    /** Frames above the root, outermost first. */
    ancestors: path.slice(0, -1),
    names: /** @type {string[]} */ (answer.names), binaries: /** @type {string[]} */ (answer.binaries),
    files: /** @type {string[]} */ (answer.files),
    count: depth.length, depth, parent: parentsOf(depth), end: endsOf(depth),
    name: Uint32Array.from(nodes.name), binary: Uint32Array.from(nodes.binary), kind: Uint8Array.from(nodes.kind),
    file: Int32Array.from(nodes.file), line: Int32Array.from(nodes.line),
    self: Float64Array.from(nodes.self), total: Float64Array.from(nodes.total), x: Float64Array.from(nodes.x),
    rows: rowsOf(depth),
    filler: {
      depth: Uint32Array.from(fillers.depth), x: Float64Array.from(fillers.x), total: Float64Array.from(fillers.total),
      frames: Float64Array.from(fillers.frames), parent: Uint32Array.from(fillers.parent),
      rows: rowsOf(Uint32Array.from(fillers.depth)),
    },
    match: answer.match ? { ...answer.match, names: Uint32Array.from(answer.match.names) } : null,
  };
}

/**
 * The index of each node's parent, -1 for the root: nodes come depth first.
 * @param {Uint32Array} depth
 */
function parentsOf(depth) {
  const parent = new Int32Array(depth.length);
  /** @type {number[]} */
  const open = [];
  for (let node = 0; node < depth.length; node++) {
    parent[node] = depth[node] === 0 ? -1 : open[depth[node] - 1];
    open[depth[node]] = node;
  }
  return parent;
}

/**
 * One past the last node beneath each node.
 * @param {Uint32Array} depth
 */
function endsOf(depth) {
  const end = new Int32Array(depth.length).fill(depth.length);
  const open = [];
  for (let node = 0; node < depth.length; node++) {
    while (open.length > 0 && depth[open[open.length - 1]] >= depth[node]) end[open.pop() ?? 0] = node;
    open.push(node);
  }
  return end;
}

/**
 * @param {Uint32Array} depth
 * @returns {Rows}
 */
function rowsOf(depth) {
  const deepest = depth.reduce((most, level) => Math.max(most, level), 0);
  const start = new Uint32Array(depth.length === 0 ? 1 : deepest + 2);
  for (const level of depth) start[level + 1]++;
  for (let level = 1; level < start.length; level++) start[level] += start[level - 1];
  const next = start.slice();
  const items = new Int32Array(depth.length);
  depth.forEach((level, item) => { items[next[level]++] = item; });
  return { start, items };
}

/**
 * The item of a row whose box holds the value offset `at`, or -1. Binary search.
 * @param {Rows} rows
 * @param {Float64Array} x
 * @param {Float64Array} total
 * @param {number} depth
 * @param {number} at
 */
export function itemAt({ start, items }, x, total, depth, at) {
  if (depth < 0 || depth + 1 >= start.length) return -1;
  let low = start[depth];
  let high = start[depth + 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[items[middle]] <= at) low = middle + 1;
    else high = middle;
  }
  if (low === start[depth]) return -1;
  const item = items[low - 1];
  return at < x[item] + total[item] ? item : -1;
}

/**
 * Nodes from the tree's root down to `node`, both included.
 * @param {Tree} tree
 * @param {number} node
 */
export function chainTo(tree, node) {
  const chain = [];
  for (let at = node; at >= 0; at = tree.parent[at]) chain.push(at);
  return chain.reverse();
}

/**
 * @param {Tree} tree
 * @param {number} node
 */
export function idOf(tree, node) {
  return chainTo(tree, node).slice(1)
    .reduce((id, at) => childId(id, nameOf(tree, at), tree.binaries[tree.binary[at]] ?? ""), tree.rootId);
}

/**
 * @param {Tree} tree
 * @param {number} node
 */
export function nameOf(tree, node) {
  return tree.names[tree.name[node]] ?? "";
}

/**
 * Children of a node that are on the screen, left to right.
 * @param {Tree} tree
 * @param {number} node
 */
export function childrenOf(tree, node) {
  const children = [];
  for (let at = node + 1; at < tree.end[node]; at = tree.end[at]) children.push(at);
  return children;
}

/**
 * Follows frames down from the root as far as they exist: finds a place again after the data was renewed.
 * @param {Tree} tree
 * @param {ReadonlyArray<{ name: string, binary: string }>} frames below the root, outermost first
 */
export function follow(tree, frames) {
  let node = 0;
  for (const { name, binary } of frames) {
    const next = childrenOf(tree, node)
      .find((child) => nameOf(tree, child) === name && tree.binaries[tree.binary[child]] === binary);
    if (next === undefined) break;
    node = next;
  }
  return node;
}
