// @ts-check
// The page's keys, in one table that the help dialog prints. Fields keep theirs.

import { run } from "./commands.js";
import { nextTheme } from "./theme.js";

/** @type {ReadonlyArray<readonly [keys: string[], words: string, act: () => void]>} */
const KEYS = [
  [["/"], "jump to a service or function", () => run("jump")],
  [["f"], "find frames in the graph", () => run("find")],
  [["n"], "next match", () => run("next-match")],
  [["N"], "previous match", () => run("previous-match")],
  [["g"], "walk the graph", () => run("graph")],
  [["+", "="], "zoom to the current frame", () => run("zoom-in")],
  [["-"], "one level up", () => run("zoom-out")],
  [["Escape", "Backspace"], "one level up, then end the search", () => run("zoom-out")],
  [["0"], "the whole tree", () => run("reset-zoom")],
  [["t"], "theme: system, light, dark", nextTheme],
  [["?"], "these keys", () => run("help")],
];

/** What help says beside the table: keys that work inside a view. */
const INSIDE = /** @type {const} */ ([
  ["↓ ↑", "graph: towards the callee, towards the caller"],
  ["← →", "graph: frame beside it; timeline: move the picked range"],
  ["Home End", "graph: first and last frame of the row"],
  ["Enter", "graph: zoom; table: find the function"],
]);

const SHOWN = /** @type {Record<string, string>} */ ({ Escape: "Esc", Backspace: "⌫" });

/** @returns {[string, string][]} */
export function keyList() {
  const page = KEYS.map(([keys, words]) => /** @type {[string, string]} */ ([keys.map((key) => SHOWN[key] ?? key).join(" "), words]));
  return [...page, ...INSIDE.map(([keys, words]) => /** @type {[string, string]} */ ([keys, words]))];
}

export function listenToKeys() {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof Element && event.target.closest("input, textarea, select, dialog")) return;
    const entry = KEYS.find(([keys]) => keys.includes(event.key));
    if (!entry) return;
    event.preventDefault();
    entry[2]();
  });
}
