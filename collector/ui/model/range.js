// @ts-check
// Time ranges: "now-15m" stays relative, unix milliseconds stay absolute, and both say themselves in words.

/** @typedef {{ fromMs: number, untilMs: number }} Span resolved, unix milliseconds */

const UNIT_MS = /** @type {Record<string, number>} */ ({ s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 });
const UNIT_NAME = /** @type {Record<string, string>} */ ({ s: "second", m: "minute", h: "hour", d: "day" });

/** The relative ranges on offer. */
export const PRESETS = ["5m", "15m", "30m", "1h", "3h", "6h", "12h", "24h", "2d", "7d"];

/**
 * @param {string} text "now", "now-15m" or unix milliseconds
 * @param {number} nowMs
 * @returns {number | null} null when the text is no time
 */
export function resolveTime(text, nowMs) {
  if (text === "now") return nowMs;
  const relative = /^now-(\d{1,6})([smhd])$/.exec(text);
  if (relative) return nowMs - Number(relative[1]) * UNIT_MS[relative[2]];
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** @param {string} text */
export function isRelative(text) {
  return text.startsWith("now");
}

/**
 * @param {string} from
 * @param {string} until
 * @param {number} nowMs
 * @returns {Span | null} null when it isn't a range that has a length
 */
export function resolveRange(from, until, nowMs) {
  const fromMs = resolveTime(from, nowMs);
  const untilMs = resolveTime(until, nowMs);
  return fromMs === null || untilMs === null || fromMs >= untilMs ? null : { fromMs, untilMs };
}

/**
 * What the range button says.
 * @param {string} from
 * @param {string} until
 */
export function rangeTitle(from, until) {
  const relative = /^now-(\d+)([smhd])$/.exec(from);
  if (relative && until === "now") {
    const count = Number(relative[1]);
    return count === 1 ? `Last ${UNIT_NAME[relative[2]]}` : `Last ${count} ${UNIT_NAME[relative[2]]}s`;
  }
  const span = resolveRange(from, until, Date.now());
  return span ? spanTitle(span) : "Choose a range";
}

/**
 * "13:05–13:20", with the day when it isn't today and seconds when they matter.
 * @param {Span} span
 */
export function spanTitle({ fromMs, untilMs }) {
  const seconds = untilMs - fromMs < 600e3;
  const days = dayOf(fromMs) !== dayOf(untilMs);
  const until = days ? `${dayOf(untilMs)} ${clock(untilMs, seconds)}` : clock(untilMs, seconds);
  const today = dayOf(fromMs) === dayOf(Date.now()) && !days;
  return `${today ? "" : `${dayOf(fromMs)} `}${clock(fromMs, seconds)}–${until}`;
}

/** The whole truth, for a tooltip. @param {Span} span */
export function spanInFull({ fromMs, untilMs }) {
  return `${stamp(fromMs)} – ${stamp(untilMs)} ${zone(untilMs)}`;
}

/**
 * @param {number} ms
 * @param {boolean} [seconds]
 */
export function clock(ms, seconds = false) {
  const date = new Date(ms);
  const parts = [date.getHours(), date.getMinutes(), ...(seconds ? [date.getSeconds()] : [])];
  return parts.map(two).join(":");
}

/** @param {number} ms */
export function dayOf(ms) {
  const date = new Date(ms);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** @param {number} ms */
export function stamp(ms) {
  return `${dayOf(ms)} ${clock(ms, true)}`;
}

/**
 * The reader's zone as an offset: names of zones are ambiguous, offsets aren't.
 * @param {number} ms
 */
export function zone(ms) {
  const minutes = -new Date(ms).getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const sign = minutes < 0 ? "−" : "+";
  return `UTC${sign}${two(Math.trunc(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
}

/**
 * "1 h", "15 min", "42 s".
 * @param {number} ms
 */
export function lengthTitle(ms) {
  const steps = /** @type {const} */ ([[86400e3, "d"], [3600e3, "h"], [60e3, "min"], [1e3, "s"]]);
  const [size, name] = steps.find(([size]) => ms >= size) ?? [1, "ms"];
  return `${Number((ms / size).toFixed(1))} ${name}`;
}

/** @param {number} number */
function two(number) {
  return String(number).padStart(2, "0");
}

const TICK_MS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400].map((s) => s * 1e3);

/**
 * Round moments of local time inside the span, at most `most` of them.
 * @param {Span} span
 * @param {number} most
 */
export function timeTicks({ fromMs, untilMs }, most) {
  const least = (untilMs - fromMs) / Math.max(most, 1);
  const step = TICK_MS.find((ms) => ms >= least) ?? Math.ceil(least / 86400e3) * 86400e3;
  const shift = new Date(fromMs).getTimezoneOffset() * 60e3;
  const ticks = [];
  for (let ms = Math.ceil((fromMs - shift) / step) * step + shift; ms < untilMs; ms += step) ticks.push(ms);
  return { ticks, step };
}
