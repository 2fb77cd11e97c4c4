// @ts-check
// Numbers into words: at most three significant digits, always with their unit. Knows no profile.

/**
 * Three significant digits, grouped by thousands, never in exponent form.
 * @param {number} value
 * @param {number} [digits]
 */
export function significant(value, digits = 3) {
  if (!Number.isFinite(value) || value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value))) + 1;
  const decimals = Math.max(0, Math.min(digits - size, 6));
  const rounded = size > digits ? Math.round(value) : Number(value.toFixed(decimals));
  return rounded.toLocaleString("en", { minimumFractionDigits: 0, maximumFractionDigits: decimals });
}

/**
 * Picks the largest step not above the value.
 * @param {number} value
 * @param {ReadonlyArray<readonly [number, string]>} steps from small to large
 */
function scaled(value, steps) {
  let [size, name] = steps[0];
  for (const [stepSize, stepName] of steps) {
    // Rounding 999.7 to three digits gives 1,000: step up as soon as the rounded value would reach it.
    if (Math.abs(value) >= stepSize * 0.9995) [size, name] = [stepSize, stepName];
  }
  return `${significant(value / size)} ${name}`;
}

const TIME = /** @type {const} */ ([[1, "ns"], [1e3, "µs"], [1e6, "ms"], [1e9, "s"], [120e9, "min"], [7200e9, "h"]]);
const TIME_SIZE = /** @type {Record<string, number>} */ ({ min: 60e9, h: 3600e9 });
const BYTES = /** @type {const} */ ([[1, "B"], [1024, "KiB"], [1024 ** 2, "MiB"], [1024 ** 3, "GiB"], [1024 ** 4, "TiB"]]);
const COUNTS = /** @type {const} */ ([[1, ""], [1e6, "M"], [1e9, "G"], [1e12, "T"]]);

/**
 * A time span. Minutes begin at two of them and hours at two: "95 s" reads better than "1.58 min".
 * @param {number} ns
 */
export function formatNanoseconds(ns) {
  if (ns === 0) return "0 s";
  const size = Math.abs(ns);
  const [, unit] = TIME.filter(([from]) => size >= from * 0.9995).at(-1) ?? TIME[0];
  const divisor = TIME_SIZE[unit] ?? TIME.find(([, name]) => name === unit)?.[0] ?? 1;
  return `${significant(ns / divisor)} ${unit}`;
}

/**
 * A value of a profile in its own unit.
 * @param {number} value
 * @param {string} unit as pprof says it: "nanoseconds", "bytes", "count", …
 */
export function formatValue(value, unit) {
  if (unit === "nanoseconds") return formatNanoseconds(value);
  if (unit === "bytes") return value === 0 ? "0 B" : scaled(value, BYTES);
  if (value < 1e6) return significant(value, 6);
  return scaled(value, COUNTS);
}

/**
 * A format for a column of values: one unit and one number of decimals, so that figures can be compared by eye.
 * @param {number} largest
 * @param {string} unit
 * @returns {(value: number) => string}
 */
export function columnFormat(largest, unit) {
  const [size, name] = columnUnit(largest, unit);
  const decimals = size === 1 ? 0 : largest / size >= 100 ? 1 : 2;
  return (value) => {
    if (value === 0) return "0";
    if (value / size < 0.5 * 10 ** -decimals) return `< ${10 ** -decimals} ${name}`.trim();
    const text = (value / size).toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    return name === "" ? text : `${text} ${name}`;
  };
}

/**
 * @param {number} largest
 * @param {string} unit
 * @returns {readonly [number, string]}
 */
function columnUnit(largest, unit) {
  if (unit === "bytes") return BYTES.filter(([from]) => largest >= from).at(-1) ?? BYTES[0];
  if (unit !== "nanoseconds") return [1, ""];
  if (largest >= 1000 * 60e9) return [3600e9, "h"];
  if (largest >= 1000 * 1e9) return [60e9, "min"];
  return largest >= 1e9 ? [1e9, "s"] : largest >= 1e6 ? [1e6, "ms"] : [1e3, "µs"];
}

/**
 * @param {number} part
 * @param {number} whole
 */
export function formatShare(part, whole) {
  return formatPercent(whole > 0 ? (100 * part) / whole : 0);
}

/**
 * One decimal, two below a tenth, and never a zero for something that is there.
 * @param {number} percent
 */
export function formatPercent(percent) {
  if (percent === 0) return "0 %";
  if (percent < 0.01) return "< 0.01 %";
  return `${percent.toFixed(percent < 0.1 ? 2 : 1)} %`;
}

/** @param {number} cores */
export function formatCores(cores) {
  const text = cores > 0 && cores < 0.001 ? "< 0.001" : significant(cores, 2);
  return `${text} ${text === "1" ? "core" : "cores"}`;
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
