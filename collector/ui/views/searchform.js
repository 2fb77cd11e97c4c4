// @ts-check
// What traces are looked for by. Nothing has to be named first; each field narrows what is found.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { onCommand } from "../commands.js";
import { printable } from "../model/text.js";
import { Glyph } from "./glyph.js";

const TYPING_MS = 350;
const STATUSES = /** @type {const} */ ([["", "any"], ["error", "errors"], ["ok", "no error"]]);

/** @param {import("./requestpage.js").Props} props */
export function SearchForm({ session, state }) {
  const { view, answers } = state;
  const services = /** @type {any[]} */ (answers.services.data ?? []);
  const set = (/** @type {Partial<import("../model/requestview.js").RequestView>} */ change) => session.navigate({ ...change, limit: "50" });
  const field = useRef(/** @type {HTMLFormElement | null} */ (null));
  useEffect(() => onCommand("find", () => field.current?.querySelector("input")?.focus()), []);
  const add = (/** @type {string} */ condition) => {
    const [key, ...value] = condition.split("=");
    if (key.trim() === "" || value.length === 0) return false;
    const one = `${key.trim()}=${value.join("=").trim()}`;
    if (!view.attribute.includes(one)) set({ attribute: [...view.attribute, one] });
    return true;
  };
  return html`
    <form ref=${field} class="searchform" role="search" aria-label="Find traces" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <${Field} kind="service-field" title="Service" value=${view.service} placeholder="any" list="service-names" onValue=${(/** @type {string} */ service) => set({ service })} />
      <datalist id="service-names">${services.map(({ service }) => html`<option key=${service} value=${service} />`)}</datalist>
      <${Field} kind="name-field" title="Span name" value=${view.span} placeholder="any" onValue=${(/** @type {string} */ span) => set({ span })} />
      <${Field} kind="name-field" title="Route" value=${view.route} placeholder="any" onValue=${(/** @type {string} */ route) => set({ route })} />
      <div class="segments" role="group" aria-label="Status">${STATUSES.map(([key, title]) => html`
        <button type="button" key=${key} aria-pressed=${view.status === key ? "true" : "false"} onClick=${() => set({ status: key })}>${title}</button>`)}</div>
      <${Field} kind="ms-field" title="Longer, ms" value=${view.min} placeholder="any" numeric onValue=${(/** @type {string} */ min) => set({ min })} />
      <${Field} kind="ms-field" title="Shorter, ms" value=${view.max} placeholder="any" numeric onValue=${(/** @type {string} */ max) => set({ max })} />
      <${Attribute} onAdd=${add} />
      <${Field} kind="text-field" title="Text" value=${view.text} placeholder="in names and attributes" onValue=${(/** @type {string} */ text) => set({ text })} />
      ${view.attribute.length > 0 && html`<div class="conditions">${view.attribute.map((one, at) => html`
        <span key=${one} class="chip split"><span class="inner" title=${printable(one)}>${printable(one)}</span>
          <button type="button" class="remove" onClick=${() => set({ attribute: view.attribute.toSpliced(at, 1) })}>
            <${Glyph} sign="✕" words=${`Remove the condition ${printable(one)}`} /></button></span>`)}</div>`}
    </form>`;
}

/**
 * A field that asks a moment after the last key, or at once on Enter.
 * @param {{ kind: string, title: string, value: string, placeholder: string, list?: string, numeric?: boolean, onValue: (value: string) => void }} props
 */
function Field({ kind, title, value, placeholder, list, numeric = false, onValue }) {
  const [text, setText] = useState(value);
  useEffect(() => { setText(value); }, [value]);
  const right = !numeric || text === "" || (Number(text) >= 0 && Number.isFinite(Number(text)));
  const commit = () => { if (right && text.trim() !== value) onValue(text.trim()); };
  useEffect(() => {
    const timer = setTimeout(commit, TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<label>${title}<input class=${`field ${kind}`} type="text" inputmode=${numeric ? "decimal" : undefined} autocomplete="off" spellcheck=${false} list=${list} placeholder=${placeholder}
    aria-invalid=${right ? undefined : "true"} title=${right ? undefined : "A number of milliseconds, like 250"} value=${text} onInput=${(/** @type {any} */ event) => setText(event.target.value)}
    onKeyDown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === "Enter") commit(); }} /></label>`;
}

/** A condition counts once Enter is pressed or the field is left: half a key finds nothing. @param {{ onAdd: (condition: string) => boolean }} props */
function Attribute({ onAdd }) {
  const [text, setText] = useState("");
  const commit = () => { if (onAdd(text)) setText(""); };
  return html`<label>Attribute<input class="field attribute-field" type="text" autocomplete="off" spellcheck=${false} placeholder="key=value, Enter" value=${text}
    onInput=${(/** @type {any} */ event) => setText(event.target.value)} onBlur=${commit}
    onKeyDown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === "Enter") commit(); }} /></label>`;
}
