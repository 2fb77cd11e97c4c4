// @ts-check
// Names as other programs wrote them, made harmless to draw: nothing in them may move or reorder what stands around.

const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g;
const LONGEST = 4096;

/**
 * Control and direction characters become a visible mark; what is longer than a page is cut.
 * @param {string} name
 * @param {boolean} [lines] whether ends of lines and tabs stay, as a stack trace needs them
 */
export function printable(name, lines = false) {
  const shown = name.length > LONGEST ? `${name.slice(0, LONGEST)}…` : name;
  return shown.replace(UNPRINTABLE, (one) => (lines && (one === "\n" || one === "\t") ? one : "\ufffd"));
}

/**
 * A name in two: the path of its package, which many begin with, and what tells it from the others.
 * @param {string} name printable
 */
export function splitPath(name) {
  const path = /^[\w.~-]+\.[\w~-]+\/(?:[\w.~-]+\/)*/.exec(name)?.[0] ?? "";
  return { path, rest: name.slice(path.length) };
}

/**
 * As much of a name as fits into a box of `columns` characters.
 * @param {string} name printable
 * @param {number} columns
 */
export function clipped(name, columns) {
  if (name.length <= columns) return name;
  const points = [...name.slice(0, (columns + 1) * 2)];
  if (points.length <= columns) return name;
  return columns < 5 ? points.slice(0, columns).join("") : `${points.slice(0, columns - 1).join("")}…`;
}
