// @ts-check
// How far a sampled figure may be from the truth.

/** Two-sided 95 % of a normal distribution, in standard deviations. */
const Z95 = 1.96;

/**
 * The 95 % error of a share, in the unit of `value`: samples are counted events, so a figure that rests on
 * n of them scatters by the square root of n.
 * @param {number} value what was measured
 * @param {number} total value of the whole selection
 * @param {number} events samples behind the whole selection
 * @returns {number | null} null when the number of samples is not known
 */
export function samplingError(value, total, events) {
  if (!(events > 0) || !(total > 0)) return null;
  const perEvent = total / events;
  return Z95 * Math.sqrt(Math.max(value / perEvent, 0)) * perEvent;
}

/**
 * The error of the whole, as a share of it.
 * @param {number} events
 */
export function relativeError(events) {
  return events > 0 ? Z95 / Math.sqrt(events) : null;
}
