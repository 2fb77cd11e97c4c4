// @ts-check
// What tables share: heads that sort, and arrow keys from row to row.

import { html } from "../vendor/preact-htm.js";

/**
 * @param {{ columns: ReadonlyArray<readonly [key: string, title: string, kind: string]>, sort: string, order: "asc" | "desc",
 *   onSort: (change: { sort: string, order: "asc" | "desc" }) => void }} props a column without a key doesn't sort
 */
export function SortHeads({ columns, sort, order, onSort }) {
  const next = (/** @type {string} */ key) => {
    if (sort !== key) return onSort({ sort: key, order: "desc" });
    // The third click gives the usual order back.
    onSort(order === "desc" ? { sort: key, order: "asc" } : { sort: "", order: "desc" });
  };
  return columns.map(([key, title, kind]) => html`
    <th key=${title} scope="col" class=${kind} aria-sort=${key === "" ? undefined : sort === key ? (order === "desc" ? "descending" : "ascending") : "none"}>
      ${key === "" ? title : html`<button type="button" onClick=${() => next(key)}>${title}<span class="mark" aria-hidden="true">${sort === key ? (order === "desc" ? " ▾" : " ▴") : ""}</span></button>`}</th>`);
}

/** Up and down between the links of rows. @param {KeyboardEvent} event */
export function walkRows(event) {
  const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  if (step === 0 || !(event.currentTarget instanceof Element)) return;
  const links = /** @type {HTMLElement[]} */ ([...event.currentTarget.querySelectorAll("tbody a, tbody [data-row]")]);
  const at = links.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  if (at < 0) return;
  event.preventDefault();
  links[Math.min(Math.max(at + step, 0), links.length - 1)].focus();
}
