// @ts-check
// What there is to know about the box under the pointer.

import { html } from "../vendor/preact-htm.js";
import { fillerWords } from "../drawing/flame.js";
import { describe, figure } from "../model/frame.js";
import { printable } from "../model/text.js";
import { KINDS } from "../model/tree.js";

/** @typedef {import("../model/tree.js").Tree} Tree */

/** @param {{ tree: Tree, hit: { ancestor: number } | { node: number } | { filler: number }, shown: number }} props */
export function HoverCard({ tree, hit, shown }) {
  if ("filler" in hit) return html`<${FillerCard} tree=${tree} item=${hit.filler} shown=${shown} />`;
  const frame = "node" in hit ? describe(tree, hit.node, shown) : ancestorCard(tree, hit.ancestor);
  return html`
    <h2>${frame.name}</h2>
    <p>${[frame.source, frame.binary, frame.kind].filter(Boolean).join(" · ")}</p>
    <${Figures} tree=${tree} shown=${shown} rows=${[["total", frame.total], ["self", frame.self]]} />`;
}

/** @param {Tree} tree @param {number} at */
function ancestorCard(tree, at) {
  const { name, binary, kind, total, self } = tree.ancestors[at];
  return {
    name: printable(name), source: "", binary: printable(binary), kind: KINDS[kind] ?? "unknown",
    total: figure(tree, total, tree.whole), self: figure(tree, self, tree.whole),
  };
}

/** @param {{ tree: Tree, item: number, shown: number }} props */
function FillerCard({ tree, item, shown }) {
  const { title } = fillerWords(tree, item);
  return html`
    <h2>${title}</h2>
    <p>Each narrower than a pixel here. Click to open.</p>
    <${Figures} tree=${tree} shown=${shown} rows=${[["total", figure(tree, tree.filler.total[item], shown)]]} />`;
}

/** @param {{ tree: Tree, shown: number, rows: [string, import("../model/frame.js").Figure][] }} props */
function Figures({ tree, shown, rows }) {
  const zoomed = shown < tree.whole;
  return html`
    <table>
      ${zoomed && html`<thead><tr><td></td><td></td><th>of all</th><th>of shown</th><th></th></tr></thead>`}
      <tbody>${rows.map(([name, { value, ofAll, ofShown, error }]) => html`
        <tr key=${name}><th>${name}</th><td><b>${value}</b></td><td>${ofAll}</td>${zoomed && html`<td>${ofShown}</td>`}<td class="third">${error}</td></tr>`)}</tbody>
    </table>`;
}
