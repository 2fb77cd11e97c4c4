// @ts-check
// What the pages of requests look at, and their addresses. The profile page has its own in `view.js`.

import { isRelative, resolveTime } from "./range.js";
import { USUAL_RANGE } from "./place.js";

/**
 * @typedef {object} RequestView
 * @property {string} from
 * @property {string} until
 * @property {boolean} live
 * @property {string} q what a list is narrowed to, or what is found in a trace
 * @property {string} sort
 * @property {"desc" | "asc"} order
 * @property {string} name service of the service page
 * @property {string} route
 * @property {string} service service that traces are searched for
 * @property {string} span name of the spans searched for; in a trace, the id of the one that is picked
 * @property {"" | "error" | "ok"} status
 * @property {string} min shortest duration, milliseconds
 * @property {string} max
 * @property {string[]} attribute "key=value" each
 * @property {string} text
 * @property {string} limit
 * @property {string} part stretch of the trace that fills the width, "0.2-0.4"
 * @property {"graph" | "table"} view
 */

/** @type {Readonly<RequestView>} */
const DEFAULT = Object.freeze({
  ...USUAL_RANGE, live: true, q: "", sort: "", order: "desc", name: "", route: "", service: "", span: "", status: "",
  min: "", max: "", attribute: [], text: "", limit: "50", part: "", view: "graph",
});

/** Most conditions on attributes at once. */
const MOST_ATTRIBUTES = 16;

/** A list that is read from the top must not move under the reader. @param {import("./place.js").PageName} page */
const usual = (page) => (page === "traces" || page === "trace" ? { ...DEFAULT, live: false } : DEFAULT);

/**
 * @param {import("./place.js").PageName} page
 * @param {string} search
 * @returns {RequestView}
 */
export function parseRequestView(page, search) {
  const params = new URLSearchParams(search);
  const view = /** @type {Record<string, unknown>} */ ({ ...usual(page) });
  for (const [key, value] of params) {
    if (key === "attribute" || !Object.hasOwn(DEFAULT, key) || !accepts(key, value)) continue;
    view[key] = key === "live" ? value !== "0" : value;
  }
  view.attribute = params.getAll("attribute").filter((one) => one.includes("=")).slice(0, MOST_ATTRIBUTES);
  return /** @type {RequestView} */ (/** @type {unknown} */ (view));
}

/** @param {string} key @param {string} value */
function accepts(key, value) {
  if (key === "from" || key === "until") return resolveTime(value, 0) !== null;
  if (key === "min" || key === "max") return value !== "" && Number(value) >= 0 && Number.isFinite(Number(value));
  if (key === "limit") return /^\d{1,3}$/.test(value) && Number(value) >= 1 && Number(value) <= 500;
  if (key === "order") return value === "asc" || value === "desc";
  if (key === "status") return value === "error" || value === "ok";
  return key !== "view" || value === "graph" || value === "table";
}

/**
 * Only what differs from the default: equal views have equal addresses.
 * @param {import("./place.js").PageName} page
 * @param {RequestView} view
 */
export function printRequestView(page, view) {
  const params = new URLSearchParams();
  for (const [key, standard] of Object.entries(usual(page))) {
    const value = /** @type {any} */ (view)[key];
    if (Array.isArray(value)) value.forEach((one) => params.append(key, one));
    else if (value !== standard) params.set(key, typeof value === "boolean" ? (value ? "1" : "0") : String(value));
  }
  const text = params.toString();
  return text ? `?${text}` : "";
}

/**
 * Whether the page follows the clock.
 * @param {RequestView} view
 */
export function isLive(view) {
  return view.live && isRelative(view.until);
}
