// @ts-check
// Two links to this view: one that moves with the clock, one that stays.

import { html, useState } from "../vendor/preact-htm.js";
import { isRelative, rangeTitle, spanTitle } from "../model/range.js";
import { printView } from "../model/view.js";
import { Menu } from "./menu.js";

/** @param {{ state: import("../session.js").State }} props */
export function Share({ state }) {
  const { view, span } = state;
  const links = [{ title: `This very range, ${spanTitle(span)}`, view: { ...view, from: `${Math.round(span.fromMs)}`, until: `${Math.round(span.untilMs)}` } }];
  if (isRelative(view.until)) links.unshift({ title: `${rangeTitle(view.from, view.until)}, whenever it is opened`, view });
  return html`
    <${Menu} label="Share" title="Copy a link to this view" panel="share" end>
      ${() => links.map(({ title, view }) => html`<${Link} key=${title} title=${title} url=${`${location.origin}${location.pathname}${printView(view)}`} />`)}
    <//>`;
}

/** @param {{ title: string, url: string }} props */
function Link({ title, url }) {
  const [copied, setCopied] = useState(false);
  const copy = async (/** @type {Event} */ event) => {
    const field = /** @type {HTMLElement} */ (event.currentTarget).parentElement?.querySelector("input");
    field?.select();
    // The clipboard needs a secure origin; a collector on a plain host name has none, so the old way comes second.
    const done = await (navigator.clipboard?.writeText(url).then(() => true, () => false) ?? false);
    setCopied(done || document.execCommand("copy"));
  };
  return html`
    <div class="link"><p>${title}</p>
      <div class="row"><input class="field" readonly aria-label=${title} value=${url} onFocus=${(/** @type {any} */ event) => event.target.select()} />
      <button type="button" class="button" onClick=${copy}>${copied ? "Copied" : "Copy"}</button></div>
    </div>`;
}
