// @ts-check
// The chain of work that the end of a trace waited for: shorten it and the trace gets shorter.

import { childrenOf } from "./trace.js";

/** @typedef {import("./trace.js").Trace} Trace */

/**
 * Walks back from the end of each root: the child that ended last before the moment looked at was waited for; where
 * none ran, it was the span's own work.
 * @param {Trace} trace
 * @returns {Map<number, [number, number][]>} stretches by row, nanoseconds from the start of the trace
 */
export function criticalPath(trace) {
  const { start, duration, spans, parent } = trace;
  const root = spans.findIndex((_, row) => parent[row] < 0 && duration[row] > 0);
  /** @type {Map<number, [number, number][]>} */
  const path = new Map();
  if (root < 0) return path;
  const waiting = [{ row: root, until: start[root] + duration[root] }];
  while (waiting.length > 0) {
    const { row, until } = /** @type {{ row: number, until: number }} */ (waiting.pop());
    /** @type {[number, number][]} */
    const own = [];
    let cursor = until;
    const endOf = (/** @type {number} */ child) => start[child] + duration[child];
    const children = childrenOf(trace, row).filter((child) => duration[child] > 0).sort((one, other) => endOf(other) - endOf(one));
    for (const child of children) {
      if (cursor <= start[row]) break;
      if (start[child] >= cursor) continue;
      const ended = Math.min(endOf(child), cursor);
      if (ended <= start[row]) break;
      if (cursor > ended) own.push([ended, cursor]);
      waiting.push({ row: child, until: ended });
      cursor = Math.max(start[child], start[row]);
    }
    if (cursor > start[row]) own.push([start[row], cursor]);
    if (own.length > 0) path.set(row, own);
  }
  return path;
}

/**
 * Time of a span in which none of its children ran.
 * @param {Trace} trace
 * @param {number} row
 */
export function selfTime(trace, row) {
  const { start, duration } = trace;
  const [from, until] = [start[row], start[row] + duration[row]];
  const parts = childrenOf(trace, row).map((child) => [Math.max(start[child], from), Math.min(start[child] + duration[child], until)])
    .filter(([left, right]) => right > left).sort((one, other) => one[0] - other[0]);
  let [covered, reached] = [0, from];
  for (const [left, right] of parts) {
    if (right <= reached) continue;
    covered += right - Math.max(left, reached);
    reached = right;
  }
  return duration[row] - covered;
}
