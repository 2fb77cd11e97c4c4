// @ts-check
// What there is to say about one frame: its figures, their error, and the sentence a screen reader speaks.

import { samplingError } from "./precision.js";
import { printable } from "./text.js";
import { formatPercent, formatShare, formatValue } from "./units.js";
import { KINDS, nameOf } from "./tree.js";

/**
 * @typedef {object} Figure
 * @property {string} value
 * @property {string} ofAll share of the whole selection
 * @property {string} ofShown share of the root of the view
 * @property {string} error "± 1.3 %", or "" when unknown
 */

/**
 * @param {import("./tree.js").Tree} tree
 * @param {number} value
 * @param {number} shown total of the view's root
 * @returns {Figure}
 */
export function figure(tree, value, shown) {
  const error = samplingError(value, tree.whole, tree.events);
  return {
    value: formatValue(value, tree.unit), ofAll: formatShare(value, tree.whole), ofShown: formatShare(value, shown),
    error: error === null || value === 0 ? "" : `± ${formatPercent((100 * error) / tree.whole)}`,
  };
}

/**
 * @param {import("./tree.js").Tree} tree
 * @param {number} node
 */
export function sourceOf(tree, node) {
  const file = tree.files[tree.file[node]] ?? "";
  return file === "" ? "" : `${printable(file)}${tree.line[node] > 0 ? `:${tree.line[node]}` : ""}`;
}

/**
 * @param {import("./tree.js").Tree} tree
 * @param {number} node
 * @param {number} shown
 */
export function describe(tree, node, shown) {
  return {
    name: printable(nameOf(tree, node)), source: sourceOf(tree, node),
    binary: printable(tree.binaries[tree.binary[node]] ?? ""), kind: KINDS[tree.kind[node]] ?? "unknown",
    total: figure(tree, tree.total[node], shown), self: figure(tree, tree.self[node], shown),
  };
}

/**
 * @param {import("./tree.js").Tree} tree
 * @param {number} node
 */
export function spoken(tree, node) {
  const { name, total, self } = describe(tree, node, tree.total[0]);
  return `${name}, total ${total.value}, ${total.ofAll}, self ${self.value}, ${self.ofAll}`;
}
