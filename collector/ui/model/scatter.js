// @ts-check
// Traces as points: time across, duration upwards on a logarithmic scale; and which one a pointer means.

/** @typedef {{ low: number, high: number }} Scale powers of ten, milliseconds */

/** How far a pointer may be from a point, pixels. */
const REACH = 14;
/** Shorter stretches of time have no ticks. */
const SHORTEST_MS = 5000;

/**
 * Whole powers of ten around all durations.
 * @param {number[]} durations milliseconds
 * @returns {Scale}
 */
export function scaleOf(durations) {
  const real = durations.filter((ms) => ms > 0 && Number.isFinite(ms));
  if (real.length === 0) return { low: 0, high: 3 };
  const low = Math.floor(Math.log10(real.reduce((least, ms) => Math.min(least, ms), Infinity)) + 1e-9);
  const high = Math.ceil(Math.log10(real.reduce((most, ms) => Math.max(most, ms), 0)) - 1e-9);
  return { low, high: Math.max(high, low + 1) };
}

/**
 * The time that is drawn: where only the newest are here, their time, for the rest of the range would be empty and untrue.
 * @param {{ start_ms: number }[]} traces
 * @param {boolean} more whether there are others that are not here
 * @param {import("./range.js").Span} span
 * @returns {import("./range.js").Span}
 */
export function timeOf(traces, more, span) {
  if (!more || traces.length === 0) return span;
  const oldest = traces.reduce((least, { start_ms }) => Math.min(least, start_ms), span.untilMs);
  const newest = traces.reduce((most, { start_ms }) => Math.max(most, start_ms), span.fromMs);
  const air = Math.max((newest - oldest) * 0.03, (SHORTEST_MS - (newest - oldest)) / 2, 0);
  return { fromMs: oldest - air, untilMs: newest + air };
}

/** @param {Scale} scale @param {number} height @param {number} ms */
export function heightOf({ low, high }, height, ms) {
  const share = (Math.log10(Math.max(ms, 10 ** low)) - low) / (high - low);
  return height - share * height;
}

/**
 * @param {{ x: number, y: number }[]} points
 * @param {number} x
 * @param {number} y
 * @returns {number} -1: none is near
 */
export function nearest(points, x, y) {
  let [found, best] = [-1, REACH ** 2];
  points.forEach((point, at) => {
    const away = (point.x - x) ** 2 + (point.y - y) ** 2;
    if (away <= best) [found, best] = [at, away];
  });
  return found;
}

/** Larger for more spans, and never so large that it hides its neighbours. @param {number} spans */
export function radiusOf(spans) {
  return Math.min(3 + Math.log2(Math.max(spans, 1)) * 0.6, 8);
}
