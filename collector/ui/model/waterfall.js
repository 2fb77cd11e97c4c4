// @ts-check
// The waterfall's picture of a trace: which part of time fills the width, where bars lie, what keys lead to.

import { childrenOf, rowsAbove } from "./trace.js";

/** @typedef {import("./trace.js").Trace} Trace */
/** @typedef {{ fromNs: number, untilNs: number }} Stretch */

/** Narrower than this share of the trace isn't zoomed to: nothing could be told apart. */
const NARROWEST = 1e-6;

/**
 * @param {Trace} trace
 * @param {readonly [number, number] | null} part shares of the trace
 * @returns {Stretch}
 */
export function stretchOf({ lengthNs }, part) {
  const length = Math.max(lengthNs, 1);
  return part ? { fromNs: part[0] * length, untilNs: part[1] * length } : { fromNs: 0, untilNs: length };
}

/**
 * Shares of the trace around a stretch, with a little air; null for all of it.
 * @param {Trace} trace
 * @param {Stretch} stretch
 * @returns {[number, number] | null}
 */
export function partAround({ lengthNs }, { fromNs, untilNs }) {
  const length = Math.max(lengthNs, 1);
  const from = Math.min(Math.max(fromNs / length, 0), 1 - NARROWEST);
  const until = Math.min(Math.max(untilNs / length, from + NARROWEST), 1);
  return from <= 0 && until >= 1 ? null : [from, until];
}

/**
 * Where a span lies in the stretch, in shares of the width; null where it lies outside.
 * @param {Stretch} stretch
 * @param {number} startNs
 * @param {number} durationNs
 */
export function barOf({ fromNs, untilNs }, startNs, durationNs) {
  const length = untilNs - fromNs;
  const left = (startNs - fromNs) / length;
  const right = (startNs + durationNs - fromNs) / length;
  if (right < 0 || left > 1) return null;
  return { left: Math.max(left, 0), right: Math.min(right, 1) };
}

const STEPS = [1, 2, 5];

/**
 * Round moments of the stretch.
 * @param {Stretch} stretch
 * @param {number} most
 */
export function ticksOf({ fromNs, untilNs }, most) {
  const least = Math.max((untilNs - fromNs) / Math.max(most, 1), 1);
  const size = 10 ** Math.floor(Math.log10(least));
  const step = (STEPS.find((one) => one * size >= least) ?? 10) * size;
  const ticks = [];
  for (let ns = Math.ceil(fromNs / step) * step; ns <= untilNs; ns += step) ticks.push(ns);
  return ticks;
}

/**
 * Where a key leads from a row, and whether the row opens or closes.
 * @param {Trace} trace
 * @param {number[]} shown rows that are open to view
 * @param {ReadonlySet<number>} closed
 * @param {number} row
 * @param {string} key
 * @param {number} page rows a page has
 * @returns {{ row: number, toggle?: boolean } | null} null: not a key of the waterfall
 */
export function walk(trace, shown, closed, row, key, page) {
  const at = Math.max(0, shown.indexOf(row));
  const by = /** @type {Record<string, number>} */ ({
    ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity,
  });
  if (key in by) return { row: shown[Math.min(Math.max(at + by[key], 0), shown.length - 1)] ?? row };
  const parent = trace.end[row] > row + 1;
  if (key === "Enter") return { row, toggle: parent };
  if (key === "ArrowLeft") return parent && !closed.has(row) ? { row, toggle: true } : { row: Math.max(trace.parent[row], 0) };
  if (key === "ArrowRight") return closed.has(row) ? { row, toggle: true } : { row: childrenOf(trace, row)[0] ?? row };
  return null;
}

/**
 * The closed rows without those that hide a row.
 * @param {Trace} trace
 * @param {ReadonlySet<number>} closed
 * @param {number} row
 */
export function revealed(trace, closed, row) {
  const above = rowsAbove(trace, row).filter((one) => closed.has(one));
  if (above.length === 0) return closed;
  const next = new Set(closed);
  above.forEach((one) => next.delete(one));
  return next;
}

/** Every row that has rows beneath it. @param {Trace} trace */
export function allParents({ end }) {
  const rows = new Set(/** @type {number[]} */ ([]));
  end.forEach((last, row) => { if (last > row + 1) rows.add(row); });
  return rows;
}
