// @ts-check
// The search box's language: text is a substring in any case, `/…/` a regular expression.

import { escapeRegex } from "./selector.js";

/**
 * Tells at once which names match, while the collector counts in the whole tree. Anything the browser's
 * dialect can't read matches nothing here; the collector's answer decides.
 * @param {string} text
 * @returns {(name: string) => boolean}
 */
export function matcherOf(text) {
  if (text === "") return () => false;
  const regex = /^\/(.+)\/$/s.exec(text);
  if (!regex) {
    const wanted = text.toLowerCase();
    return (name) => name.toLowerCase().includes(wanted);
  }
  try {
    const compiled = new RegExp(regex[1], "i");
    return (name) => compiled.test(name);
  } catch {
    return () => false;
  }
}

/** Longest expression to send; the collector refuses longer ones. */
const LONGEST = 900;

/**
 * The search for exactly this function, or, when its name is longer than an expression may be, for what begins so.
 * @param {string} name
 */
export function exactly(name) {
  const whole = `/^${escapeRegex(name)}$/`;
  if (new TextEncoder().encode(whole).length <= LONGEST) return whole;
  return `/^${escapeRegex([...name].slice(0, LONGEST / 8).join(""))}/`;
}

/**
 * The function an exact search names, or null.
 * @param {string} text
 */
export function exactName(text) {
  const found = /^\/\^(.*)\$\/$/s.exec(text);
  if (!found) return null;
  const name = found[1].replace(/\\(.)/g, "$1");
  return exactly(name) === text ? name : null;
}
