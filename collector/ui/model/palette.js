// @ts-check
// A stable hue for each binary: the same program has the same colour in every view and on every machine.

/** Number of hues in the style sheet (`--hue-0` …). */
export const HUES = 12;

/**
 * The style sheet's token for a binary; a frame that belongs to none is grey.
 * @param {string} binary
 */
export function binaryToken(binary) {
  return binary === "" ? "unknown" : `hue-${hueOf(binary)}`;
}

/**
 * @param {string} binary
 * @returns {number} 0 … HUES - 1
 */
export function hueOf(binary) {
  let hash = 0x811c9dc5;
  for (let at = 0; at < binary.length; at++) hash = Math.imul(hash ^ binary.charCodeAt(at), 0x01000193);
  return ((hash ^ (hash >>> 15)) >>> 0) % HUES;
}
