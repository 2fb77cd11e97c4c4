// @ts-check
// The line at the bottom that says whether the picture is whole, and if not, why.

import { html } from "../vendor/preact-htm.js";
import { run } from "../commands.js";
import { zone } from "../model/range.js";
import { verdict } from "../model/trust.js";
import { isStale } from "../slot.js";
import { Menu } from "./menu.js";

/** @typedef {import("../model/trust.js").Part} Part */

const CALLED_WHOLE = "at most 1 % of stacks incomplete and of frames unknown, no sample lost, no agent silent";

/** @param {{ slot: import("../slot.js").Slot<any>, parts: Part[], untilMs: number, called?: string }} props `called`: what is called whole */
export function TrustBar({ slot, parts, untilMs, called = CALLED_WHOLE }) {
  return html`
    <footer class="trustbar" aria-label="Completeness of the data">
      ${parts.length > 0 && html`<${Verdict} parts=${parts} called=${called} />`}
      ${slot.error && !slot.data && html`<span class="third">Completeness unknown: ${slot.error.message}</span>`}
      <span tabindex=${parts.length > 0 ? 0 : undefined} role="group" aria-label="Figures" class=${`figures ${isStale(slot) && !slot.quiet ? "stale" : ""}`}>
        ${parts.map(({ key, figure, words, whole, reasons }) => html`
          <span key=${key} class=${whole ? "" : "warn"} title=${reasons.join("\n")}>${key === "cost" ? html`agents cost <b>${figure}</b>` : html`<b>${figure}</b> ${words}`}</span>`)}
      </span>
      <span class="spring" />
      <span class="zone" title="All times are in your own zone">${zone(untilMs)}</span>
      <button type="button" class="keys" onClick=${() => run("help")}><kbd>?</kbd> keys</button>
    </footer>`;
}

/** @param {{ parts: Part[], called: string }} props */
function Verdict({ parts, called }) {
  const { whole, word } = verdict(parts);
  const reasons = parts.flatMap(({ key, reasons }) => reasons.map((reason) => ({ key, reason })));
  return html`
    <${Menu} label=${html`<i class=${`dot ${whole ? "good" : "warning"}`} aria-hidden="true" />${word}`} title="What this rests on" kind="verdict" panel="reasons" up>
      ${() => html`
        <h2>${whole ? "The picture is whole" : "What is missing"}</h2>
        ${reasons.length === 0 ? html`<p>Nothing was lost in this range, and every agent reported.</p>`
          : html`<ul>${reasons.map(({ reason }) => html`<li key=${reason}>${reason}</li>`)}</ul>`}
        <p class="note">Called whole: ${called}.</p>`}
    <//>`;
}
