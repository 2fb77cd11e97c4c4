// @ts-check
// The identity of a node in a merged tree: an FNV-1a chain over its path, the same the collector computes.

const PRIME = 0x100000001b3n;
const MASK = 0xffffffffffffffffn;
const END_OF_NAME = 0xfe;
const END_OF_FRAME = 0xff;

/** Id of the node every stack starts at. */
export const ALL = "cbf29ce484222325";

const utf8 = new TextEncoder();

/**
 * @param {string} parent 16 hex digits
 * @param {string} name
 * @param {string} binary base name of the frame's file, or ""
 */
export function childId(parent, name, binary) {
  let hash = BigInt(`0x${parent}`);
  for (const byte of [...utf8.encode(name), END_OF_NAME, ...utf8.encode(binary), END_OF_FRAME]) {
    hash = ((hash ^ BigInt(byte)) * PRIME) & MASK;
  }
  return hash.toString(16).padStart(16, "0");
}

/** @param {string} text */
export function isNodeId(text) {
  return /^[0-9a-f]{16}$/.test(text);
}
