// @ts-check
// What is looked at, and its address: the URL says all of it, so a reload, a link and the back button agree.

import { ALL, isNodeId } from "./nodeid.js";
import { resolveTime } from "./range.js";

/**
 * @typedef {object} View
 * @property {string} type profile type, "" for the collector's default
 * @property {string} selector label selector, "" for everything
 * @property {string} from "now-15m" or unix milliseconds
 * @property {string} until
 * @property {string} select part of the range picked on the timeline, "ms-ms", or ""
 * @property {string} root id of the node the graph is zoomed to
 * @property {string} part stretch of the root that fills the width, "0.93-1", or "": opens what is too narrow beneath the root
 * @property {string} q text or /regex/ looked for in frames
 * @property {"icicle" | "flame"} view
 * @property {"kind" | "binary"} colour
 * @property {"self" | "total"} sort
 * @property {"desc" | "asc"} order
 * @property {"all" | "matching" | "hidden"} table
 * @property {boolean} live
 */

/** @type {Readonly<View>} */
export const DEFAULT_VIEW = Object.freeze({
  type: "", selector: "", from: "now-15m", until: "now", select: "", root: ALL, part: "", q: "",
  view: "icicle", colour: "kind", sort: "total", order: "desc", table: "all", live: true,
});

const CHOICES = /** @type {Record<string, readonly string[]>} */ ({
  view: ["icicle", "flame"], colour: ["kind", "binary"], sort: ["self", "total"],
  order: ["desc", "asc"], table: ["all", "matching", "hidden"],
});

/**
 * What the address doesn't say, or says wrongly, is the default.
 * @param {string} search a location's `?…`
 * @returns {View}
 */
export function parseView(search) {
  const params = new URLSearchParams(search);
  const view = /** @type {Record<string, unknown>} */ ({ ...DEFAULT_VIEW });
  for (const [key, value] of params) {
    if (Object.hasOwn(DEFAULT_VIEW, key) && accepts(key, value)) view[key] = key === "live" ? value !== "0" : value;
  }
  return /** @type {View} */ (/** @type {unknown} */ (view));
}

/**
 * @param {string} key
 * @param {string} value
 */
function accepts(key, value) {
  if (Object.hasOwn(CHOICES, key)) return CHOICES[key].includes(value);
  if (key === "from" || key === "until") return resolveTime(value, 0) !== null;
  if (key === "select") return parseSelect(value) !== null;
  if (key === "part") return parsePart(value) !== null;
  return key !== "root" || isNodeId(value);
}

/**
 * Only what differs from the default, in a fixed order: equal views have equal addresses.
 * @param {View} view
 */
export function printView(view) {
  const params = new URLSearchParams();
  for (const [key, standard] of Object.entries(DEFAULT_VIEW)) {
    const value = view[/** @type {keyof View} */ (key)];
    if (value !== standard) params.set(key, typeof value === "boolean" ? (value ? "1" : "0") : value);
  }
  const text = params.toString();
  return text === "" ? "" : `?${text}`;
}

/**
 * @param {string} text
 * @returns {import("./range.js").Span | null}
 */
export function parseSelect(text) {
  const found = /^(\d{1,15})-(\d{1,15})$/.exec(text);
  if (!found || Number(found[1]) >= Number(found[2])) return null;
  return { fromMs: Number(found[1]), untilMs: Number(found[2]) };
}

/** @param {import("./range.js").Span} span */
export function printSelect({ fromMs, untilMs }) {
  return `${Math.round(fromMs)}-${Math.round(untilMs)}`;
}

/**
 * @param {string} text
 * @returns {[number, number] | null} shares of the root, left and right edge
 */
export function parsePart(text) {
  const found = /^([01](?:\.\d{1,9})?)-([01](?:\.\d{1,9})?)$/.exec(text);
  if (!found) return null;
  const [from, until] = [Number(found[1]), Number(found[2])];
  return from < until && until <= 1 ? [from, until] : null;
}

/** @param {number} from @param {number} until */
export function printPart(from, until) {
  return `${Number(from.toFixed(9))}-${Number(until.toFixed(9))}`;
}
