// @ts-check
// CPU over time, stacked: columns of values to heights in cores, and positions to moments.

import { formatValue, significant } from "./units.js";

/** @typedef {import("./range.js").Span} Span */
/** @typedef {ReturnType<typeof decodeTimeline>} Timeline */

/** From the bottom up; the order never depends on the data, so a colour keeps its place. */
export const STACK_ORDER = /** @type {const} */ (["native", "interpreted", "runtime", "kernel", "unknown"]);

/**
 * @param {any} answer of /profile/timeline
 */
export function decodeTimeline(answer) {
  const stepMs = Number(answer.step_ms);
  const unit = String(answer.unit);
  // Nanoseconds of CPU per step become cores; what isn't time becomes a rate per second.
  const scale = unit === "nanoseconds" ? 1 / (stepMs * 1e6) : 1 / (stepMs / 1e3);
  const series = STACK_ORDER.map((name) => {
    const found = answer.series.find((/** @type {any} */ one) => one.name === name);
    return { name, values: Float64Array.from(found?.values ?? [], (value) => value * scale) };
  }).filter(({ values }) => values.some((value) => value > 0));
  const steps = Math.max(0, ...answer.series.map((/** @type {any} */ one) => one.values.length));
  return { startMs: Number(answer.start_ms), stepMs, unit, series, steps, peak: peakOf(series, steps) };
}

/**
 * @param {{ values: Float64Array }[]} series
 * @param {number} steps
 */
function peakOf(series, steps) {
  let peak = 0;
  for (let step = 0; step < steps; step++) {
    peak = Math.max(peak, series.reduce((sum, { values }) => sum + (values[step] ?? 0), 0));
  }
  return peak;
}

/**
 * The next round number above, for the top of an axis.
 * @param {number} value
 */
export function roundAbove(value) {
  if (value <= 0) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return ([1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * size >= value * 0.999) ?? 10) * size;
}

/**
 * What the top of the axis stands for.
 * @param {number} value per second, or in cores where the unit is time
 * @param {string} unit as pprof says it
 */
export function scaleLabel(value, unit) {
  return unit === "nanoseconds" ? `${significant(value, 2)} CPU ${value === 1 ? "core" : "cores"}` : `${formatValue(value, unit)} per second`;
}

/**
 * @param {Span} span
 * @param {number} width
 * @param {number} ms
 */
export function xOf({ fromMs, untilMs }, width, ms) {
  return ((ms - fromMs) / (untilMs - fromMs)) * width;
}

/**
 * @param {Span} span
 * @param {number} width
 * @param {number} x
 */
export function timeAt({ fromMs, untilMs }, width, x) {
  return fromMs + (Math.min(Math.max(x, 0), width) / width) * (untilMs - fromMs);
}

/**
 * A dragged range, outward to whole steps: half a step has no data of its own.
 * @param {{ startMs: number, stepMs: number }} timeline
 * @param {number} oneMs
 * @param {number} otherMs
 * @returns {Span}
 */
export function wholeSteps({ startMs, stepMs }, oneMs, otherMs) {
  const from = Math.floor((Math.min(oneMs, otherMs) - startMs) / stepMs);
  const until = Math.ceil((Math.max(oneMs, otherMs) - startMs) / stepMs);
  return { fromMs: startMs + from * stepMs, untilMs: startMs + Math.max(until, from + 1) * stepMs };
}

/**
 * The range of the same length that ends with the newest data, when there is any.
 * @param {Timeline} timeline
 * @param {number} lengthMs
 * @returns {Span | null}
 */
export function newestWithData({ series, steps, startMs, stepMs }, lengthMs) {
  for (let step = steps - 1; step >= 0; step--) {
    if (series.some(({ values }) => values[step] > 0)) {
      const untilMs = startMs + (step + 1) * stepMs;
      return { fromMs: untilMs - Math.max(lengthMs, stepMs), untilMs };
    }
  }
  return null;
}
