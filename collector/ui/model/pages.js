// @ts-check
// Rows of a long list that arrive by the page: which are here, which to ask for. Does not ask itself.

/** Rows per request. */
export const PAGE = 100;

/**
 * @template T
 * @typedef {object} Pages
 * @property {number} count rows there are, known from the first page
 * @property {Map<number, T[]>} loaded by page number
 */

/**
 * @template T
 * @param {number} count
 * @param {T[]} first
 * @returns {Pages<T>}
 */
export function firstPage(count, first) {
  return { count, loaded: new Map([[0, first]]) };
}

/**
 * @template T
 * @param {Pages<T>} pages
 * @param {number} row
 * @returns {T | undefined}
 */
export function rowAt(pages, row) {
  return pages.loaded.get(Math.floor(row / PAGE))?.[row % PAGE];
}

/**
 * @template T
 * @param {Pages<T>} pages
 * @param {number} from first row on the screen
 * @param {number} until one past the last
 * @returns {number[]} pages to ask for
 */
export function missingPages({ count, loaded }, from, until) {
  const missing = [];
  for (let page = Math.floor(from / PAGE); page * PAGE < Math.min(until, count); page++) {
    if (!loaded.has(page)) missing.push(page);
  }
  return missing;
}

/**
 * @template T
 * @param {Pages<T>} pages
 * @param {number} page
 * @param {T[]} rows
 * @returns {Pages<T>}
 */
export function withPage({ count, loaded }, page, rows) {
  return { count, loaded: new Map(loaded).set(page, rows) };
}

/**
 * Rows that a list shows at a scroll position, with some to spare on both sides.
 * @param {number} scrollTop
 * @param {number} height
 * @param {number} rowHeight
 * @param {number} count
 */
export function visibleRows(scrollTop, height, rowHeight, count) {
  const from = Math.max(0, Math.floor(scrollTop / rowHeight) - 6);
  return { from, until: Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + 6) };
}
