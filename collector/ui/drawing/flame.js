// @ts-check
// Draws a trimmed tree as boxes, and says which box is under a point. Every call draws only what the viewport
// shows: the canvas is as high as the viewport, never as high as the stack is deep.

import { binaryToken } from "../model/palette.js";
import { itemAt, KINDS, nameOf } from "../model/tree.js";
import { clipped, printable } from "../model/text.js";
import { formatValue } from "../model/units.js";
import { prepare } from "./surface.js";

/** @typedef {import("../model/tree.js").Tree} Tree */

export const ROW = 21;
const LABEL_FROM = 34;
const FADED = 0.32;

/**
 * @typedef {object} Picture everything a frame of the flame graph depends on
 * @property {Tree} tree
 * @property {number} focus node that fills the width
 * @property {number} x0 value offset at the left edge
 * @property {number} x1 value offset at the right edge
 * @property {number} width CSS pixels
 * @property {number} height
 * @property {number} scroll rows' offset, CSS pixels
 * @property {boolean} upwards flame instead of icicle
 * @property {"kind" | "binary"} colour
 * @property {Uint8Array | null} lit per node: 2 matches, 1 beneath a match, 0 outside; null without a search
 */

/** Rows of the picture, ancestors included. @param {Tree} tree */
export function rowCount(tree) {
  const rows = Math.max(tree.rows.start.length, tree.filler.rows.start.length) - 1;
  return tree.ancestors.length + Math.max(rows, 1);
}

/** Height of all rows. @param {Tree} tree */
export function contentHeight(tree) {
  return rowCount(tree) * ROW + 8;
}

/**
 * Top edge of a row on the canvas.
 * @param {Picture} picture
 * @param {number} row
 */
export function rowTop({ tree, upwards, height, scroll }, row) {
  const content = Math.max(contentHeight(tree), height);
  return (upwards ? content - (row + 1) * ROW : row * ROW) - scroll;
}

/**
 * Box of a node on the canvas, cut to the viewport's width.
 * @param {Picture} picture
 * @param {number} node
 */
export function boxOf(picture, node) {
  const { tree } = picture;
  return { ...edges(picture, tree.x[node], tree.total[node]), top: rowTop(picture, tree.ancestors.length + tree.depth[node]) };
}

/** @param {Picture} picture @param {number} x @param {number} total */
function edges({ x0, x1, width }, x, total) {
  const scale = width / (x1 - x0 || 1);
  const left = Math.max(0, (x - x0) * scale);
  return { left, wide: Math.min(width, (x + total - x0) * scale) - left };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Picture} picture
 * @param {import("./surface.js").Colours} colours
 */
export function drawFlame(canvas, picture, colours) {
  const context = prepare(canvas, picture.width, picture.height);
  const font = getComputedStyle(canvas).getPropertyValue("--mono") || "monospace";
  context.font = `12px ${font}`;
  context.textBaseline = "middle";
  context.direction = "ltr";
  const pen = { context, colours, column: context.measureText("0").width, hatch: hatchOf(context, colours) };
  drawAncestors(pen, picture);
  eachRow(picture, picture.tree.rows, (row, from, until) => drawRow(pen, picture, row, from, until));
  eachRow(picture, picture.tree.filler.rows, (row, from, until) => drawFillers(pen, picture, row, from, until));
  context.globalAlpha = 1;
}

/** @typedef {{ context: CanvasRenderingContext2D, colours: import("./surface.js").Colours, column: number, hatch: CanvasPattern | string }} Pen */

/** Faint diagonal lines: something is here that is not drawn. @param {CanvasRenderingContext2D} context @param {import("./surface.js").Colours} colours */
function hatchOf(context, colours) {
  const ratio = devicePixelRatio || 1;
  const tile = document.createElement("canvas");
  tile.width = tile.height = Math.round(6 * ratio);
  const pen = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  pen.scale(tile.width / 6, tile.width / 6);
  pen.strokeStyle = colours.third;
  pen.globalAlpha = 0.45;
  pen.lineWidth = 0.8;
  for (const shift of [-6, 0, 6]) { pen.moveTo(shift, 6); pen.lineTo(shift + 6, 0); }
  pen.stroke();
  const pattern = context.createPattern(tile, "repeat");
  pattern?.setTransform(new DOMMatrix().scale(1 / ratio));
  return pattern ?? colours.faint;
}

/**
 * Calls back for each row inside the viewport.
 * @param {Picture} picture
 * @param {import("../model/tree.js").Rows} rows
 * @param {(row: number, from: number, until: number) => void} draw
 */
function eachRow(picture, { start }, draw) {
  for (let depth = 0; depth + 1 < start.length; depth++) {
    const top = rowTop(picture, picture.tree.ancestors.length + depth);
    if (top > -ROW && top < picture.height) draw(top, start[depth], start[depth + 1]);
  }
}

/** @param {Pen} pen @param {Picture} picture */
function drawAncestors({ context, colours, column }, picture) {
  const { tree, width } = picture;
  tree.ancestors.forEach((frame, row) => {
    const top = rowTop(picture, row);
    if (top <= -ROW || top >= picture.height) return;
    context.globalAlpha = FADED;
    context.fillStyle = colours[KINDS[frame.kind] ?? "unknown"];
    if (picture.colour === "binary") context.fillStyle = colours[binaryToken(frame.binary)];
    context.fillRect(0, top, width, ROW - 1);
    context.globalAlpha = 0.85;
    context.fillStyle = colours.ink;
    context.fillText(clipped(printable(frame.name), Math.floor((width - 10) / column)), 5, top + ROW / 2);
  });
}

/** @param {Pen} pen @param {Picture} picture @param {number} top @param {number} from @param {number} until */
function drawRow(pen, picture, top, from, until) {
  const { context, colours } = pen;
  const { tree, x0, x1, lit } = picture;
  const { items } = tree.rows;
  const focusDepth = tree.depth[picture.focus];
  for (let at = firstInside(tree, from, until, x0); at < until; at++) {
    const node = items[at];
    if (tree.x[node] >= x1) break;
    const { left, wide } = edges(picture, tree.x[node], tree.total[node]);
    if (wide < 0.3) continue;
    const above = tree.depth[node] < focusDepth;
    context.globalAlpha = above || (lit !== null && lit[node] === 0) ? FADED : 1;
    context.fillStyle = fillOf(picture, colours, node);
    context.fillRect(left, top, wide > 2.5 ? wide - 1 : Math.max(wide - 0.4, 0.6), ROW - 1);
    if (lit !== null && lit[node] === 2) {
      context.globalAlpha = 1;
      context.fillStyle = colours.match;
      context.fillRect(left, top + ROW - 4, wide > 2.5 ? wide - 1 : Math.max(wide - 0.4, 0.6), 3);
    }
    if (wide >= LABEL_FROM) drawLabel(pen, picture, node, left, wide, top, above);
  }
}

/**
 * First item of a row that reaches into the picture.
 * @param {Tree} tree @param {number} from @param {number} until @param {number} x0
 */
function firstInside({ rows: { items }, x, total }, from, until, x0) {
  let [low, high] = [from, until];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[items[middle]] + total[items[middle]] <= x0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @param {Picture} picture @param {import("./surface.js").Colours} colours @param {number} node */
function fillOf({ tree, colour }, colours, node) {
  if (colour === "kind") return colours[KINDS[tree.kind[node]] ?? "unknown"];
  return colours[binaryToken(tree.binaries[tree.binary[node]] ?? "")];
}

/** @param {Pen} pen @param {Picture} picture @param {number} node @param {number} left @param {number} wide @param {number} top @param {boolean} above */
function drawLabel({ context, colours, column }, { tree, lit }, node, left, wide, top, above) {
  const faded = above || (lit !== null && lit[node] === 0);
  const label = clipped(printable(nameOf(tree, node)), Math.floor((wide - 8) / column));
  context.globalAlpha = faded ? 0.75 : 1;
  context.fillStyle = faded ? colours.ink : colours["box-ink"];
  // Wide glyphs may need more room than columns say: the text is squeezed rather than spilled.
  context.fillText(label, left + 5, top + ROW / 2, wide - 7);
}

/** @param {Pen} pen @param {Picture} picture @param {number} top @param {number} from @param {number} until */
function drawFillers({ context, colours, column, hatch }, picture, top, from, until) {
  const { filler } = picture.tree;
  for (let at = from; at < until; at++) {
    const item = filler.rows.items[at];
    if (filler.x[item] + filler.total[item] <= picture.x0 || filler.x[item] >= picture.x1) continue;
    const { left, wide } = edges(picture, filler.x[item], filler.total[item]);
    if (wide < 1.5) continue;
    context.globalAlpha = picture.lit === null ? 0.8 : FADED;
    context.fillStyle = hatch;
    context.fillRect(left, top, wide - 1, ROW - 1);
    const label = `▸ ${filler.frames[item].toLocaleString("en")}`;
    const room = Math.max(wide, roomBeside(picture, item)) - 8;
    if (wide < 6 || room < label.length * column) continue;
    context.globalAlpha = 1;
    context.fillStyle = colours.panel;
    context.fillRect(left + 2, top + 2, label.length * column + 5, ROW - 5);
    context.fillStyle = colours.second;
    context.fillText(label, left + 4, top + ROW / 2);
  }
}

/** Pixels a filler's label may use: up to its parent's right edge nothing else stands. @param {Picture} picture @param {number} item */
function roomBeside(picture, item) {
  const { tree } = picture;
  const parent = tree.filler.parent[item];
  const right = tree.x[parent] + tree.total[parent];
  return edges(picture, tree.filler.x[item], right - tree.filler.x[item]).wide;
}

/**
 * What is under a point of the canvas.
 * @param {Picture} picture
 * @param {number} px
 * @param {number} py
 * @returns {{ ancestor: number } | { node: number } | { filler: number } | null}
 */
export function hitTest(picture, px, py) {
  const { tree, upwards, height, scroll, width, x0, x1 } = picture;
  const content = Math.max(contentHeight(tree), height);
  const y = py + scroll;
  const row = Math.floor(upwards ? (content - y) / ROW : y / ROW);
  if (row < 0 || px < 0 || px > width) return null;
  if (row < tree.ancestors.length) return { ancestor: row };
  const depth = row - tree.ancestors.length;
  const at = x0 + (px / width) * (x1 - x0);
  const node = itemAt(tree.rows, tree.x, tree.total, depth, at);
  if (node >= 0) return { node };
  const filler = itemAt(tree.filler.rows, tree.filler.x, tree.filler.total, depth, at);
  return filler >= 0 ? { filler } : null;
}

/** Words for a filler. @param {Tree} tree @param {number} item */
export function fillerWords(tree, item) {
  const frames = tree.filler.frames[item];
  return {
    title: `${frames.toLocaleString("en")} more ${frames === 1 ? "frame" : "frames"}`,
    value: formatValue(tree.filler.total[item], tree.unit),
  };
}
