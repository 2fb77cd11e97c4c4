// @ts-check
// Pages and their addresses: which page a path names, and what a link to one carries along.

/** @typedef {"home" | "services" | "service" | "traces" | "trace" | "map" | "profiles"} PageName */
/** @typedef {{ page: PageName, id: string }} Place `id`: the trace, where the page is one */
/** @typedef {{ from: string, until: string }} Range as the address says it */

const PATHS = /** @type {Record<string, PageName>} */ ({
  "/services": "services", "/service": "service", "/traces": "traces", "/map": "map", "/profiles": "profiles",
});

/** What the navigation offers, and the pages that count as each. */
export const SECTIONS = /** @type {ReadonlyArray<{ path: string, title: string, pages: readonly PageName[] }>} */ ([
  { path: "/services", title: "Services", pages: ["services", "service"] },
  { path: "/profiles", title: "Profiles", pages: ["profiles"] },
  { path: "/traces", title: "Traces", pages: ["traces", "trace"] },
  { path: "/map", title: "Map", pages: ["map"] },
]);

/** The range that an address need not say. */
export const USUAL_RANGE = Object.freeze({ from: "now-15m", until: "now" });

/**
 * @param {string} pathname
 * @returns {Place} what isn't known leads home
 */
export function placeOf(pathname) {
  const trace = /^\/trace\/([0-9a-fA-F]{1,32})\/?$/.exec(pathname);
  if (trace) return { page: "trace", id: wholeId(trace[1]) };
  const path = pathname.replace(/\/+$/, "");
  return { page: Object.hasOwn(PATHS, path) ? PATHS[path] : "home", id: "" };
}

/**
 * A link to a page: what is empty is left out, and the range goes along.
 * @param {string} path
 * @param {Record<string, string | number | undefined>} [params]
 * @param {Range} [range]
 */
export function link(path, params = {}, range = USUAL_RANGE) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value !== undefined && value !== "") query.set(key, String(value));
  }
  if (range.from !== USUAL_RANGE.from) query.set("from", range.from);
  if (range.until !== USUAL_RANGE.until) query.set("until", range.until);
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/**
 * The trace a text names, when it can be nothing else.
 * @param {string} text
 */
export function traceIdIn(text) {
  const found = /^\s*(?:0x)?([0-9a-f]{32}|[0-9a-f]{16})\s*$/i.exec(text);
  return found && wholeId(found[1]);
}

/** Older tracers have ids of 16 digits, which are the end of one of 32. @param {string} digits */
function wholeId(digits) {
  return digits.toLowerCase().padStart(32, "0");
}
