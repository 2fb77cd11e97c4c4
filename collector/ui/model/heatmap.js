// @ts-check
// Latency over time as counts in buckets: shades, the cell at a point, and the bounds of a dragged area.

/** Shades from light to full. */
export const SHADES = 5;

/**
 * @typedef {object} Heatmap
 * @property {number} startMs
 * @property {number} stepMs
 * @property {number} steps
 * @property {number[]} bounds upper bounds, seconds; one more bucket lies above
 * @property {number[][]} columns counts by bucket
 * @property {number} low first bucket that is drawn
 * @property {number} high one past the last
 * @property {number} peak largest count
 * @property {number} total
 */

/**
 * @param {any} answer of /services/heatmap
 * @returns {Heatmap}
 */
export function decodeHeatmap(answer) {
  const bounds = (answer.bounds_s ?? []).map(Number);
  const columns = (answer.columns ?? []).map((/** @type {any} */ column) => column ?? []);
  let [low, high, peak, total] = [bounds.length, 0, 0, 0];
  for (const column of columns) {
    column.forEach((/** @type {number} */ count, /** @type {number} */ bucket) => {
      if (!(count > 0)) return;
      low = Math.min(low, bucket);
      high = Math.max(high, bucket + 1);
      peak = Math.max(peak, count);
      total += count;
    });
  }
  if (total === 0) [low, high] = [0, bounds.length + 1];
  // A bucket of air on both sides keeps the eye from taking the frame for a limit.
  return {
    startMs: Number(answer.start_ms), stepMs: Number(answer.step_ms), steps: columns.length, bounds, columns,
    low: Math.max(0, low - 1), high: Math.min(bounds.length + 1, high + 1), peak, total: Math.round(total),
  };
}

/** Between a logarithm, which shows few beside thousands, and proportion, which shows where most are. */
const STEEPNESS = 1.8;

/**
 * 0 for nothing, else 1 … SHADES.
 * @param {number} count
 * @param {number} peak
 */
export function shade(count, peak) {
  if (!(count > 0) || !(peak > 0)) return 0;
  const strength = (Math.log1p(count) / Math.log1p(peak)) ** STEEPNESS;
  return Math.min(Math.max(Math.ceil(strength * SHADES - 1e-9), 1), SHADES);
}

/** Bounds of a bucket in seconds. @param {Heatmap} heatmap @param {number} bucket @returns {[number, number]} */
export function boundsOf({ bounds }, bucket) {
  return [bucket === 0 ? 0 : bounds[bucket - 1], bucket < bounds.length ? bounds[bucket] : Infinity];
}

/**
 * The bucket at a height, counted from the top of the drawing.
 * @param {Heatmap} heatmap
 * @param {number} height
 * @param {number} y
 */
export function bucketAt({ low, high }, height, y) {
  const rows = high - low;
  const fromTop = Math.floor((Math.min(Math.max(y, 0), height - 0.01) / height) * rows);
  return high - 1 - fromTop;
}

/**
 * What a dragged rectangle stands for: whole columns and buckets, and the requests in them.
 * @param {Heatmap} heatmap
 * @param {{ fromMs: number, untilMs: number }} span of the two corners, in either order
 * @param {[number, number]} buckets of the two corners
 */
export function areaOf(heatmap, { fromMs, untilMs }, buckets) {
  const { startMs, stepMs, steps, columns } = heatmap;
  const clamp = (/** @type {number} */ step) => Math.min(Math.max(step, 0), steps - 1);
  const first = clamp(Math.floor((Math.min(fromMs, untilMs) - startMs) / stepMs));
  const last = clamp(Math.ceil((Math.max(fromMs, untilMs) - startMs) / stepMs) - 1);
  const [bottom, top] = [Math.min(...buckets), Math.max(...buckets)];
  let requests = 0;
  for (let step = first; step <= last; step++) {
    for (let bucket = bottom; bucket <= top; bucket++) requests += columns[step]?.[bucket] ?? 0;
  }
  return {
    fromMs: startMs + first * stepMs, untilMs: startMs + (last + 1) * stepMs, bottom, top,
    minS: boundsOf(heatmap, bottom)[0], maxS: boundsOf(heatmap, top)[1],
    // A report that spans two steps counts for each in part.
    requests: requests > 0 ? Math.max(1, Math.round(requests)) : 0,
  };
}
