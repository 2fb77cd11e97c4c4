// @ts-check
// What the view is about: profile type, filters as chips; and what can be taken away from it: files, a link.

import { html } from "../vendor/preact-htm.js";
import { address } from "../api.js";
import { link } from "../model/place.js";
import { labelTitle, matcherWords, parseSelector, printSelector } from "../model/selector.js";
import { printable } from "../model/text.js";
import { formatValue } from "../model/units.js";
import { Filter } from "./filter.js";
import { Glyph } from "./glyph.js";
import { Choices, Menu } from "./menu.js";
import { Share } from "./share.js";

/** @typedef {import("../model/selector.js").Matcher} Matcher */

/** @param {import("./profilepage.js").Props} props */
export function ScopeBar({ session, state }) {
  const matchers = parseSelector(state.view.selector);
  const service = matchers?.find(({ name, op }) => name === "service_name" && op === "=");
  const change = (/** @type {Matcher[]} */ next) => session.navigate({ selector: printSelector(next) });
  return html`
    <div class="scopebar" role="group" aria-label="Scope">
      <div class="chips">
        <${TypeChip} session=${session} state=${state} />
        ${matchers === null ? html`<${Unreadable} session=${session} state=${state} />` : matchers.map((matcher, at) => html`
          <${Chip} key=${`${at}${matcher.name}`} session=${session} matcher=${matcher}
            onChange=${(/** @type {Matcher} */ next) => change(matchers.with(at, next))}
            onRemove=${() => change(matchers.toSpliced(at, 1))} />`)}
        ${matchers !== null && html`
          <${Menu} label="+ filter" title="Add a filter" kind="plain" panel="filter">
            ${(/** @type {() => void} */ close) => html`<${Filter} session=${session}
              onDone=${(/** @type {Matcher} */ next) => { close(); change([...matchers, next]); }} />`}
          <//>`}
      </div>
      ${service && html`<a class="button" href=${link("/service", { name: service.value }, state.view)}>Service</a>`}
      <${Download} session=${session} state=${state} />
      <${Share} state=${state} />
    </div>`;
}

/** @param {import("./profilepage.js").Props} props */
function TypeChip({ session, state }) {
  const types = /** @type {any[]} */ (state.types.data?.types ?? []);
  const current = types.find(({ id }) => id === (state.view.type || state.tree.data?.type)) ?? types[0];
  const items = types.map(({ id, name, sample_type, sample_unit, total }) => ({
    key: id, title: html`<b>${sample_type}</b> <span class="third">${name}</span>`,
    detail: Number.isFinite(total) ? formatValue(total, sample_unit) : "",
  }));
  return html`
    <${Menu} label=${html`type <b>${current?.sample_type ?? "cpu"}</b> <span aria-hidden="true">▾</span>`} title="Profile type" kind="chip">
      ${(/** @type {() => void} */ close) => html`<${Choices} items=${items} current=${current?.id ?? ""}
        onPick=${(/** @type {string} */ type) => { session.navigate({ type }); close(); }} />`}
    <//>`;
}

/** @param {{ session: import("../session.js").Session, matcher: Matcher, onChange: (next: Matcher) => void, onRemove: () => void }} props */
function Chip({ session, matcher, onChange, onRemove }) {
  const { relation, value } = matcherWords(matcher);
  const name = labelTitle(matcher.name);
  return html`
    <span class="chip split">
      <${Menu} label=${html`${name} ${relation && html`<span class="third">${relation}</span> `}<b>${printable(value)}</b>`}
        title=${`${matcher.name} ${matcher.op} ${printable(matcher.value)}`} kind="inner" panel="filter">
        ${(/** @type {() => void} */ close) => html`<${Filter} session=${session} matcher=${matcher}
          onDone=${(/** @type {Matcher} */ next) => { close(); onChange(next); }} />`}
      <//>
      <button type="button" class="remove" title=${`Remove the filter on ${name}`} onClick=${onRemove}><${Glyph} sign="✕" words=${`Remove the filter on ${name}`} /></button>
    </span>`;
}

/** @param {import("./profilepage.js").Props} props */
function Unreadable({ session, state }) {
  return html`<span class="chip split warn"><span class="inner">filter can't be read: <code>${printable(state.view.selector)}</code></span>
    <button type="button" class="remove" title="Remove the filter" onClick=${() => session.navigate({ selector: "" })}>✕</button></span>`;
}

const FORMATS = /** @type {const} */ ([
  ["pprof", "pprof", "with addresses and build ids, for go tool pprof and others"],
  ["folded", "Folded stacks", "one line per stack, for scripts"],
  ["svg", "SVG", "a flame graph that opens in any browser"],
]);

/** @param {import("./profilepage.js").Props} props */
function Download({ session }) {
  const scope = session.scope(session.selected());
  return html`
    <${Menu} label=${html`<span aria-hidden="true">⤓</span> Download <span aria-hidden="true">▾</span>`} title="Download" end>
      ${(/** @type {() => void} */ close) => html`<ul class="choices">${FORMATS.map(([format, title, words]) => html`
        <li key=${format}><a class="choice tall" download href=${address("/profile/download", { ...scope, format })} onClick=${close}>
          <span>${title}</span><span class="detail">${words}</span></a></li>`)}</ul>`}
    <//>`;
}
