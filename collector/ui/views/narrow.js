// @ts-check
// The line above a list: a field that narrows it, and what else belongs there.

import { html, useEffect, useRef } from "../vendor/preact-htm.js";
import { onCommand } from "../commands.js";

/** @param {import("./requestpage.js").Shown & { label: string, placeholder: string, children?: unknown }} props */
export function Narrow({ session, state, label, placeholder, children }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => onCommand("find", () => field.current?.select()), []);
  return html`
    <div class="listbar">
      <div class="find"><input ref=${field} type="search" class="bare" spellcheck=${false} autocomplete="off" aria-label=${label} placeholder=${placeholder} value=${state.view.q}
        onInput=${(/** @type {any} */ event) => session.navigate({ q: event.target.value }, { replace: true })} /></div>
      <span class="spring" />
      ${children}
    </div>`;
}
