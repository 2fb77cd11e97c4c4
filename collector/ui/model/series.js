// @ts-check
// Requests, errors and latency over time: answers into lines that can be drawn and read out.

/**
 * @typedef {object} Red
 * @property {number} startMs
 * @property {number} stepMs
 * @property {number} steps
 * @property {(number | null)[]} rate requests per second
 * @property {(number | null)[]} failing failed requests per second
 * @property {(number | null)[]} errorRate 0 … 1
 * @property {(number | null)[]} p50
 * @property {(number | null)[]} p95
 * @property {(number | null)[]} p99
 */

/**
 * @param {any} answer of /services/red
 * @returns {Red}
 */
export function decodeRed(answer) {
  const stepMs = Number(answer.step_ms);
  const { requests, errors, p50_s, p95_s, p99_s } = answer.series;
  const perSecond = (/** @type {number | null} */ count) => (count === null || count === undefined ? null : count / (stepMs / 1e3));
  const rate = requests.map(perSecond);
  return {
    startMs: Number(answer.start_ms), stepMs, steps: rate.length, rate,
    failing: rate.map((/** @type {number | null} */ one, /** @type {number} */ at) => (one === null ? null : perSecond(errors[at] ?? 0))),
    errorRate: requests.map((/** @type {number | null} */ count, /** @type {number} */ at) => (count ? (errors[at] ?? 0) / count : null)),
    p50: p50_s ?? [], p95: p95_s ?? [], p99: p99_s ?? [],
  };
}

/**
 * The largest of several lines, 0 when there is nothing.
 * @param {(number | null)[][]} lines
 */
export function peakOf(...lines) {
  let peak = 0;
  for (const line of lines) for (const value of line) if (value !== null && value > peak) peak = value;
  return peak;
}

/**
 * Stretches of a line without a gap: [first step, values].
 * @param {(number | null)[]} line
 * @returns {[number, number[]][]}
 */
export function stretches(line) {
  /** @type {[number, number[]][]} */
  const found = [];
  line.forEach((value, step) => {
    if (value === null || value === undefined) return;
    const last = found.at(-1);
    if (last && last[0] + last[1].length === step) last[1].push(value);
    else found.push([step, [value]]);
  });
  return found;
}

/**
 * The step a moment lies in.
 * @param {{ startMs: number, stepMs: number, steps: number }} series
 * @param {number} ms
 * @returns {number | null}
 */
export function stepAt({ startMs, stepMs, steps }, ms) {
  const step = Math.floor((ms - startMs) / stepMs);
  return step >= 0 && step < steps ? step : null;
}

/**
 * A path for a small line without axes, for a box of `width` × `height`.
 * @param {(number | null)[]} values
 * @param {number} width
 * @param {number} height
 */
export function sparkPath(values, width, height) {
  const peak = peakOf(values);
  if (values.length < 2 || peak <= 0) return "";
  const x = (/** @type {number} */ step) => ((step * width) / (values.length - 1)).toFixed(1);
  const y = (/** @type {number} */ value) => (height - 1 - (value / peak) * (height - 2)).toFixed(1);
  return stretches(values).map(([first, run]) =>
    run.map((value, at) => `${at === 0 ? "M" : "L"}${x(first + at)} ${y(value)}`).join("") + (run.length === 1 ? "h0.01" : "")).join("");
}
