// @ts-check
// Light, dark, or as the system says. Remembered by the browser, not by the address: a link must not change it.

import { forgetColours } from "./drawing/surface.js";

/** @typedef {"system" | "light" | "dark"} Theme */

export const THEMES = /** @type {const} */ (["system", "light", "dark"]);
const KEY = "sonde.theme";

/** @type {Set<() => void>} */
const listeners = new Set();

/** @returns {Theme} */
export function theme() {
  const chosen = document.documentElement.dataset.theme;
  return chosen === "light" || chosen === "dark" ? chosen : "system";
}

/** @param {Theme} next */
export function setTheme(next) {
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Forbidden storage: the choice lasts until the page is left.
  }
  changed();
}

export function nextTheme() {
  setTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
}

/** @param {() => void} listener */
export function onTheme(listener) {
  listeners.add(listener);
  return () => { listeners.delete(listener); };
}

function changed() {
  forgetColours();
  for (const listener of listeners) listener();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
