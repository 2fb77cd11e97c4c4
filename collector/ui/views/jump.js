// @ts-check
// One field that leads anywhere: a service, a function, a trace, or a search.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { address, ask } from "../api.js";
import { onCommand } from "../commands.js";
import { exactly } from "../model/pattern.js";
import { link, traceIdIn } from "../model/place.js";
import { parseSelector, printSelector } from "../model/selector.js";
import { printable } from "../model/text.js";
import { formatShare } from "../model/units.js";
import { Picker } from "./picker.js";

/** @typedef {import("./picker.js").Option} Option */

const PAUSE_MS = 120;

/**
 * @param {{ here: (text: string) => Option[], found: (text: string) => Promise<Option[]>, onPick: (what: string, name: string) => void }} props
 *   `here`: what needs no question; keys of options are "what:name"
 */
function Jump({ here, found, onPick }) {
  const [text, setText] = useState("");
  const [answer, setAnswer] = useState({ text: "", options: /** @type {Option[]} */ ([]) });
  const asked = useRef(0);
  const field = () => document.getElementById("jump");
  useEffect(() => onCommand("jump", () => field()?.focus()), []);
  useEffect(() => {
    const turn = ++asked.current;
    if (text.trim() === "") return;
    const timer = setTimeout(async () => {
      const options = await found(text).catch(() => []);
      if (asked.current === turn) setAnswer({ text, options });
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  // Enter right after the last key must mean what is in the field: nothing of this waits for an answer.
  const options = text.trim() === "" ? [] : [...here(text), ...(answer.text === text ? answer.options : [])];
  const leave = () => { setText(""); field()?.blur(); };
  const pick = (/** @type {string} */ key) => {
    onPick(key.slice(0, key.indexOf(":")), key.slice(key.indexOf(":") + 1));
    leave();
  };
  return html`<div class="jump"><${Picker} id="jump" label="Jump to a service, function or trace" placeholder="Jump to service, function…"
    text=${text} options=${options} onText=${setText} onPick=${pick} onLeave=${leave}
    hint=${html`<kbd aria-hidden="true">/</kbd>`} /></div>`;
}

/** On the profile page: services become filters, functions are found in the graph. @param {import("./profilepage.js").Props & { router: import("../router.js").Router }} props */
export function ProfileJump({ session, state, router }) {
  return html`<${Jump} here=${(/** @type {string} */ text) => traceOption(text) ?? [searchOption(text)]} found=${(/** @type {string} */ text) => suggestions(session, text)}
    onPick=${(/** @type {string} */ what, /** @type {string} */ name) => {
      if (what === "trace") router.go(link(`/trace/${name}`, {}, state.view));
      else if (what === "service") session.navigate({ selector: withService(state.view.selector, name) });
      else session.navigate({ q: what === "function" ? exactly(name) : name });
    }} />`;
}

/** Elsewhere: a trace by its id, a service's page, or a search on another page. @param {import("./requestpage.js").Props} props */
export function RequestJump({ state, router }) {
  const { view, span } = state;
  const here = (/** @type {string} */ text) => {
    return traceOption(text) ?? [{ key: `spans:${text}`, title: html`Find traces: <b>${printable(text)}</b>` }, searchOption(text)];
  };
  const found = async (/** @type {string} */ text) => {
    const { services } = await ask(address("/services", { from: Math.round(span.fromMs), until: Math.round(span.untilMs) }));
    return services.filter((/** @type {any} */ { service }) => service.toLowerCase().includes(text.toLowerCase().trim())).slice(0, 8)
      .map((/** @type {any} */ { service }) => ({ key: `service:${service}`, title: printable(service), detail: "service" }));
  };
  const onPick = (/** @type {string} */ what, /** @type {string} */ name) => {
    if (what === "trace") router.go(link(`/trace/${name}`, {}, view));
    else if (what === "service") router.go(link("/service", { name }, view));
    else if (what === "spans") router.go(link("/traces", { text: name }, view));
    else router.go(link("/profiles", { q: name }, view));
  };
  return html`<${Jump} here=${here} found=${found} onPick=${onPick} />`;
}

/** @param {string} text */
function traceOption(text) {
  const trace = traceIdIn(text);
  return trace && [{ key: `trace:${trace}`, title: html`Open trace <code>${trace}</code>` }];
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
