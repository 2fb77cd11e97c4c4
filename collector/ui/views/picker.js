// @ts-check
// A field with a list beneath it: type to narrow, arrows to choose, Enter to take. Shares are drawn behind options.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";

/**
 * @typedef {object} Option
 * @property {string} key
 * @property {unknown} title
 * @property {unknown} [detail]
 * @property {number} [share] 0 … 1, drawn behind the option
 */

let pickers = 0;

/**
 * @param {{ id?: string, label: string, placeholder: string, text: string, options: Option[], empty?: string, autofocus?: boolean,
 *   onText: (text: string) => void, onPick: (key: string, event: Event) => void, onLeave?: () => void, always?: boolean, hint?: unknown }} props
 *   `always`: the list is shown even while the field isn't focused
 */
export function Picker({ id, label, placeholder, text, options, empty, autofocus, onText, onPick, onLeave, always, hint }) {
  const [list] = useState(() => `picker-${pickers++}`);
  const [at, setAt] = useState(0);
  const [focused, setFocused] = useState(false);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => { if (autofocus) field.current?.focus(); }, [autofocus]);
  useEffect(() => { setAt(0); }, [text]);
  useEffect(() => {
    document.getElementById(`${list}-${at}`)?.scrollIntoView({ block: "nearest" });
  }, [at]);
  const current = Math.min(at, options.length - 1);
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "ArrowDown") setAt(Math.min(current + 1, options.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(current - 1, 0));
    else if (event.key === "Enter" && options[current]) onPick(options[current].key, event);
    else if (event.key === "Escape" && onLeave) onLeave();
    else return;
    event.preventDefault();
  };
  const shown = (always || focused) && (options.length > 0 || Boolean(empty));
  return html`
    <div class="picker">
      <input id=${id} ref=${field} class="field" type="text" role="combobox" autocomplete="off" spellcheck=${false} aria-label=${label}
        aria-expanded=${shown ? "true" : "false"} aria-controls=${list} aria-autocomplete="list"
        aria-activedescendant=${shown && options[current] ? `${list}-${current}` : undefined} placeholder=${placeholder} value=${text}
        onInput=${(/** @type {any} */ event) => onText(event.target.value)} onKeyDown=${onKeyDown}
        onFocus=${() => setFocused(true)} onBlur=${() => setFocused(false)} />
      ${hint}
      <ul id=${list} class="options" role="listbox" aria-label=${label} hidden=${!shown}>
        ${options.map((option, index) => html`
          <li id=${`${list}-${index}`} key=${option.key} role="option" aria-selected=${index === current ? "true" : "false"}
            onPointerDown=${(/** @type {Event} */ event) => event.preventDefault()}
            onClick=${(/** @type {Event} */ event) => onPick(option.key, event)} onPointerMove=${() => setAt(index)}>
            ${option.share !== undefined && html`<i class="bar" style=${{ width: `${100 * option.share}%` }} />`}
            <span class="title">${option.title}</span>
            ${option.detail !== undefined && html`<span class="detail">${option.detail}</span>`}
          </li>`)}
        ${options.length === 0 && empty && html`<li class="none" role="option" aria-disabled="true" aria-selected="false">${empty}</li>`}
      </ul>
    </div>`;
}
