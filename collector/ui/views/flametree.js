// @ts-check
// The flame graph for keys and screen readers: the path to the current frame, what stands beside it and beneath it.
// Never the whole tree: a reader walks it, and each step renews the few items around.

import { html } from "../vendor/preact-htm.js";
import { spoken } from "../model/frame.js";
import { printable } from "../model/text.js";
import { chainTo, childrenOf } from "../model/tree.js";
import { formatShare, formatValue } from "../model/units.js";

const MOST_BESIDE = 60;

/** @typedef {import("../model/tree.js").Tree} Tree */

/**
 * @param {{ tree: Tree, here: number, upwards: boolean, onKeyDown: (event: KeyboardEvent) => void, onFocus: () => void, onBlur: () => void }} props
 */
export function FlameTree({ tree, here, onKeyDown, onFocus, onBlur }) {
  const chain = chainTo(tree, here);
  const above = tree.parent[here];
  const beside = above < 0 ? [here] : near(childrenOf(tree, above), here);
  return html`
    <div class="aria-tree" role="tree" tabindex="0" aria-label="Frames, by total time" aria-activedescendant=${`node-${here}`}
      onKeyDown=${onKeyDown} onFocus=${onFocus} onBlur=${onBlur}>
      ${tree.ancestors.map((frame, level) => html`
        <div key=${`above-${level}`} role="treeitem" aria-level=${level + 1} aria-expanded="true" aria-setsize="1" aria-posinset="1" aria-selected="false">
          ${printable(frame.name)}, total ${formatValue(frame.total, tree.unit)}, ${formatShare(frame.total, tree.whole)}</div>`)}
      ${chain.slice(0, -1).map((node) => html`<${Item} key=${node} tree=${tree} node=${node} here=${here} open />`)}
      ${beside.map((node) => html`
        <${Item} key=${node} tree=${tree} node=${node} here=${here} open=${node === here} />
        ${node === here && near(childrenOf(tree, node), -1).map((child) => html`<${Item} key=${child} tree=${tree} node=${child} here=${here} />`)}`)}
    </div>
    <div class="hidden" aria-live="polite" data-spoken>${here === 0 ? "" : spoken(tree, here)}</div>`;
}

/** @param {{ tree: Tree, node: number, here: number, open?: boolean }} props */
function Item({ tree, node, here, open = false }) {
  const above = tree.parent[node];
  const siblings = above < 0 ? [node] : childrenOf(tree, above);
  const leaf = tree.end[node] === node + 1;
  return html`
    <div id=${`node-${node}`} role="treeitem" aria-level=${tree.ancestors.length + tree.depth[node] + 1} aria-selected=${node === here ? "true" : "false"}
      aria-setsize=${siblings.length} aria-posinset=${siblings.indexOf(node) + 1} aria-expanded=${leaf ? undefined : open ? "true" : "false"}>${spoken(tree, node)}</div>`;
}

/**
 * At most so many, around one of them.
 * @param {number[]} nodes
 * @param {number} here
 */
function near(nodes, here) {
  const at = Math.max(nodes.indexOf(here), 0);
  const from = Math.max(0, Math.min(at - MOST_BESIDE / 2, nodes.length - MOST_BESIDE));
  return nodes.slice(from, from + MOST_BESIDE);
}
