// @ts-check
// The page's keys, in one table that the help dialog prints. Fields keep theirs.

import { run } from "./commands.js";
import { placeOf } from "./model/place.js";
import { nextTheme } from "./theme.js";

/** @typedef {import("./model/place.js").PageName} PageName */
/** @typedef {readonly PageName[]} Pages */

const PROFILES = /** @type {Pages} */ (["profiles"]);
const TRACE = /** @type {Pages} */ (["trace"]);
const LISTS = /** @type {Pages} */ (["services", "service", "traces", "map"]);

/** Keys of all pages, or of those that are named. @type {ReadonlyArray<readonly [keys: string[], words: string, act: () => void, pages?: Pages]>} */
const KEYS = [
  [["/"], "jump to a service, function or trace", () => run("jump")],
  [["f"], "find frames in the graph", () => run("find"), PROFILES],
  [["f"], "find spans", () => run("find"), TRACE],
  [["f"], "narrow the list", () => run("find"), LISTS],
  [["n"], "next match", () => run("next-match"), ["profiles", "trace"]],
  [["N"], "previous match", () => run("previous-match"), ["profiles", "trace"]],
  [["g"], "walk the graph", () => run("graph"), PROFILES],
  [["g"], "walk the spans", () => run("graph"), TRACE],
  [["+", "="], "zoom to the current frame", () => run("zoom-in"), PROFILES],
  [["-"], "one level up", () => run("zoom-out"), PROFILES],
  [["Escape", "Backspace"], "one level up, then end the search", () => run("zoom-out"), PROFILES],
  [["+", "="], "zoom to the current span", () => run("zoom-in"), TRACE],
  [["Escape"], "whole width, then end the search", () => run("zoom-out"), TRACE],
  [["0"], "the whole tree", () => run("reset-zoom"), PROFILES],
  [["o"], "open all spans", () => run("open-all"), TRACE],
  [["p"], "close all spans", () => run("close-all"), TRACE],
  [["t"], "theme: system, light, dark", nextTheme],
  [["?"], "these keys", () => run("help")],
];

/** What help says beside the table: keys that work inside a view. @type {ReadonlyArray<readonly [string, string, Pages]>} */
const INSIDE = [
  ["↓ ↑", "graph: towards the callee, towards the caller", PROFILES],
  ["← →", "graph: frame beside it; timeline: move the picked range", PROFILES],
  ["Home End", "graph: first and last frame of the row", PROFILES],
  ["Enter", "graph: zoom; table: find the function", PROFILES],
  ["↓ ↑ j k", "next and previous span", TRACE],
  ["← →", "close or to the parent; open or to the first child", TRACE],
  ["Enter", "open or close the span", TRACE],
  ["↓ ↑", "row by row", ["services", "service", "traces"]],
];

const SHOWN = /** @type {Record<string, string>} */ ({ Escape: "Esc", Backspace: "⌫" });

/**
 * @param {PageName} page
 * @returns {[string, string][]}
 */
export function keyList(page) {
  const here = KEYS.filter(([, , , pages]) => !pages || pages.includes(page))
    .map(([keys, words]) => /** @type {[string, string]} */ ([keys.map((key) => SHOWN[key] ?? key).join(" "), words]));
  const inside = INSIDE.filter(([, , pages]) => pages.includes(page)).map(([keys, words]) => /** @type {[string, string]} */ ([keys, words]));
  return [...here, ...inside];
}

export function listenToKeys() {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof Element && event.target.closest("input, textarea, select, dialog")) return;
    const { page } = placeOf(location.pathname);
    const entry = KEYS.find(([keys, , , pages]) => keys.includes(event.key) && (!pages || pages.includes(page)));
    if (!entry) return;
    event.preventDefault();
    entry[2]();
  });
}
