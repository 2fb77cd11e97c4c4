// @ts-check
// The keys, on `?`.

import { html, useEffect, useRef } from "../vendor/preact-htm.js";
import { onCommand } from "../commands.js";
import { keyList } from "../keys.js";

/** @param {{ page: import("../model/place.js").PageName }} props */
export function Help({ page }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => onCommand("help", () => dialog.current?.showModal()), []);
  const onClick = (/** @type {MouseEvent} */ event) => { if (event.target === dialog.current) dialog.current?.close(); };
  return html`
    <dialog ref=${dialog} class="help" aria-labelledby="help-title" onClick=${onClick}>
      <div class="inside">
        <h2 id="help-title">Keys</h2>
        <dl>${keyList(page).map(([keys, words]) => html`<div key=${words}><dt>${keys.split(" ").map((key) => html`<kbd key=${key}>${key}</kbd> `)}</dt><dd>${words}</dd></div>`)}</dl>
        <button type="button" class="button" onClick=${() => dialog.current?.close()}>Close</button>
      </div>
    </dialog>`;
}
