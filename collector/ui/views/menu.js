// @ts-check
// A button that opens a small panel. Esc, a click elsewhere and leaving by Tab close it.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";

/**
 * @param {{ label: unknown, title?: string, kind?: string, panel?: string, up?: boolean, end?: boolean,
 *   open?: boolean, children: (close: () => void) => unknown }} props `end`: panel is aligned to the button's right edge
 */
export function Menu({ label, title, kind = "button", panel = "", up = false, end = false, children }) {
  const [open, setOpen] = useState(false);
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const close = () => {
    setOpen(false);
    place.current?.querySelector("button")?.focus();
  };
  useEffect(() => {
    if (!open) return;
    const first = place.current?.querySelector(".panel input, .panel button, .panel a");
    if (first instanceof HTMLElement) first.focus();
    const elsewhere = (/** @type {Event} */ event) => {
      if (!place.current?.contains(/** @type {Node} */ (event.target))) setOpen(false);
    };
    addEventListener("pointerdown", elsewhere);
    addEventListener("focusin", elsewhere);
    return () => { removeEventListener("pointerdown", elsewhere); removeEventListener("focusin", elsewhere); };
  }, [open]);
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (!open || event.key !== "Escape") return;
    event.preventDefault();
    close();
  };
  return html`
    <div class="menu" ref=${place} onKeyDown=${onKeyDown}>
      <button type="button" class=${kind} title=${title} aria-haspopup="dialog" aria-expanded=${open ? "true" : "false"}
        onClick=${() => setOpen(!open)}>${label}</button>
      ${open && html`<div class=${`panel ${panel} ${up ? "up" : ""} ${end ? "end" : ""}`} role="dialog"
        aria-label=${title ?? "Menu"}>${children(close)}</div>`}
    </div>`;
}

/**
 * A list to choose one of.
 * @param {{ items: { key: string, title: unknown, detail?: unknown }[], current: string, onPick: (key: string) => void }} props
 */
export function Choices({ items, current, onPick }) {
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const list = /** @type {HTMLElement} */ (event.currentTarget);
    const buttons = [...list.querySelectorAll("button")];
    const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    buttons[(at + step + buttons.length) % buttons.length]?.focus();
  };
  return html`<ul class="choices" onKeyDown=${onKeyDown}>${items.map(({ key, title, detail }) => html`
    <li key=${key}><button type="button" class="choice" aria-pressed=${key === current ? "true" : "false"}
      onClick=${() => onPick(key)}><span>${title}</span>${detail && html`<span class="detail">${detail}</span>`}</button></li>`)}</ul>`;
}
