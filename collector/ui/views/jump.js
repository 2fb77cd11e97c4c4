// @ts-check
// One field that leads anywhere: a service, a function, or a search in the graph.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { address, ask } from "../api.js";
import { onCommand } from "../commands.js";
import { exactly } from "../model/pattern.js";
import { parseSelector, printSelector } from "../model/selector.js";
import { printable } from "../model/text.js";
import { formatShare } from "../model/units.js";
import { Picker } from "./picker.js";

const PAUSE_MS = 120;

/** @param {import("./app.js").Props} props */
export function Jump({ session, state }) {
  const [text, setText] = useState("");
  const [options, setOptions] = useState(/** @type {import("./picker.js").Option[]} */ ([]));
  const asked = useRef(0);
  const field = () => document.getElementById("jump");
  useEffect(() => onCommand("jump", () => field()?.focus()), []);
  useEffect(() => {
    const turn = ++asked.current;
    if (text.trim() === "") { setOptions([]); return; }
    setOptions([searchOption(text)]);
    const timer = setTimeout(async () => {
      const found = await suggestions(session, text).catch(() => []);
      if (asked.current === turn) setOptions([searchOption(text), ...found]);
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const leave = () => { setText(""); field()?.blur(); };
  const pick = (/** @type {string} */ key) => {
    const [what, name] = [key.slice(0, key.indexOf(":")), key.slice(key.indexOf(":") + 1)];
    if (what === "service") session.navigate({ selector: withService(state.view.selector, name) });
    else session.navigate({ q: what === "function" ? exactly(name) : name });
    leave();
  };
  return html`<div class="jump"><${Picker} id="jump" label="Jump to a service or function" placeholder="Jump to service, function…"
    text=${text} options=${options} onText=${setText} onPick=${pick} onLeave=${leave}
    hint=${html`<kbd aria-hidden="true">/</kbd>`} /></div>`;
}

/** @param {string} text */
function searchOption(text) {
  return { key: `search:${text}`, title: html`Find frames: <b>${printable(text)}</b>` };
}

/**
 * @param {import("../session.js").Session} session
 * @param {string} text
 */
async function suggestions(session, text) {
  const scope = session.scope(session.selected());
  const [services, functions] = await Promise.all([
    ask(address("/labels/service_name/values", { ...scope, selector: "" })),
    ask(address("/profile/top", { ...scope, q: text, limit: 8 })),
  ]);
  const wanted = text.toLowerCase();
  const named = services.values.filter((/** @type {any} */ one) => one.value.toLowerCase().includes(wanted)).slice(0, 5);
  return [
    ...named.map((/** @type {any} */ one) => ({ key: `service:${one.value}`, title: printable(one.value), detail: "service" })),
    ...functions.rows.map((/** @type {any} */ one) => ({
      key: `function:${one.name}`, title: html`<code>${printable(one.name)}</code>`, detail: formatShare(one.total, functions.total),
    })).filter((/** @type {any} */ one, /** @type {number} */ at, /** @type {any[]} */ all) => all.findIndex(({ key }) => key === one.key) === at),
  ];
}

/** @param {string} selector @param {string} service */
function withService(selector, service) {
  const others = (parseSelector(selector) ?? []).filter(({ name }) => name !== "service_name");
  return printSelector([{ name: "service_name", op: "=", value: service }, ...others]);
}
