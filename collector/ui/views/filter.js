// @ts-check
// Builds one filter: label, then relation, then value. Values are listed by what they cost.

import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { address, ask } from "../api.js";
import { anyOf, labelTitle, listedValues } from "../model/selector.js";
import { printable } from "../model/text.js";
import { counted, formatShare } from "../model/units.js";
import { Picker } from "./picker.js";

/** @typedef {import("../model/selector.js").Matcher} Matcher */
/** @typedef {import("../model/selector.js").Operator} Operator */

const RELATIONS = /** @type {const} */ ([["=", "is"], ["!=", "is not"], ["=~", "matches"], ["!~", "does not match"]]);

/** @param {{ session: import("../session.js").Session, matcher?: Matcher, onDone: (matcher: Matcher) => void }} props */
export function Filter({ session, matcher, onDone }) {
  const [name, setName] = useState(matcher?.name ?? "");
  if (name === "") return html`<${Labels} session=${session} onPick=${setName} />`;
  return html`<${Values} session=${session} name=${name} matcher=${matcher} onDone=${onDone} />`;
}

/**
 * What the server says to a question, asked once.
 * @param {string} url
 */
function useAnswer(url) {
  const [answer, setAnswer] = useState(/** @type {{ data: any, error: Error | null }} */ ({ data: null, error: null }));
  useEffect(() => {
    const abort = new AbortController();
    ask(url, abort.signal).then((data) => setAnswer({ data, error: null }),
      (error) => error.name === "AbortError" || setAnswer({ data: null, error }));
    return () => abort.abort();
  }, [url]);
  return answer;
}

/** @param {{ session: import("../session.js").Session, onPick: (name: string) => void }} props */
function Labels({ session, onPick }) {
  const [text, setText] = useState("");
  const { data, error } = useAnswer(address("/labels", { ...session.scope(session.get().span), selector: "" }));
  const options = (data?.labels ?? [])
    .filter((/** @type {any} */ one) => labelTitle(one.name).includes(text.toLowerCase()) || one.name.includes(text.toLowerCase()))
    .sort((/** @type {any} */ one, /** @type {any} */ other) => Number(other.name === "service_name") - Number(one.name === "service_name"))
    .map((/** @type {any} */ one) => ({ key: one.name, title: labelTitle(one.name), detail: counted(one.values, "value") }));
  return html`<${Picker} label="Label" placeholder="Label…" text=${text} options=${options} autofocus always
    empty=${error?.message ?? (data ? "No such label in this range." : "Asking…")} onText=${setText} onPick=${onPick} />`;
}

/** @param {{ session: import("../session.js").Session, name: string, matcher?: Matcher, onDone: (matcher: Matcher) => void }} props */
function Values({ session, name, matcher, onDone }) {
  const [op, setOp] = useState(/** @type {Operator} */ (matcher && listedValues(matcher).length < 2 ? matcher.op : "="));
  const [text, setText] = useState(op.endsWith("~") ? matcher?.value ?? "" : "");
  const [several, setSeveral] = useState(/** @type {string[]} */ (matcher && listedValues(matcher).length > 1 ? listedValues(matcher) : []));
  const { data, error } = useAnswer(address(`/labels/${encodeURIComponent(name)}/values`, { ...session.scope(session.get().span), selector: "", limit: 200 }));
  const pattern = op.endsWith("~");
  const toggle = (/** @type {string} */ value) => setSeveral(several.includes(value) ? several.filter((one) => one !== value) : [...several, value]);
  const pick = (/** @type {string} */ key, /** @type {any} */ event) => {
    if (pattern) return onDone({ name, op, value: text });
    const value = key.slice(1);
    if (op === "=" && (event.shiftKey || several.length > 0)) return toggle(value);
    onDone({ name, op, value });
  };
  const values = /** @type {any[]} */ (data?.values ?? []);
  const whole = values.reduce((sum, one) => sum + one.total, 0);
  const listed = values.filter(({ value }) => pattern ? tests(text, value) : value.toLowerCase().includes(text.toLowerCase()))
    .map(({ value, total }) => ({
      key: `=${value}`, share: whole > 0 ? total / whole : 0, detail: formatShare(total, whole),
      title: html`${several.includes(value) ? "✓ " : ""}${value === "" ? html`<i>(empty)</i>` : printable(value)}`,
    }));
  const options = pattern ? [{ key: "pattern", title: html`${RELATIONS.find(([one]) => one === op)?.[1]} <b>${text || ".*"}</b>`, detail: counted(listed.length, "value") }, ...listed] : listed;
  return html`
    <div class="relations" role="group" aria-label="Relation"><b>${labelTitle(name)}</b>
      ${RELATIONS.map(([key, words]) => html`<button type="button" key=${key} class="tab" aria-pressed=${key === op ? "true" : "false"} onClick=${() => { setOp(key); setSeveral([]); }}>${words}</button>`)}
    </div>
    <${Picker} label=${`Value of ${labelTitle(name)}`} placeholder=${pattern ? "Regular expression…" : "Value…"} text=${text} options=${options}
      autofocus always empty=${error?.message ?? (data ? "No such value in this range." : "Asking…")} onText=${setText} onPick=${pick} />
    ${several.length > 0 ? html`<div class="row end"><button type="button" class="button primary" onClick=${() => onDone(anyOf(name, several))}>Any of ${several.length}</button></div>`
      : op === "=" && html`<p class="note">Shift and Enter, or Shift and click, choose several.</p>`}
    ${data?.truncated && html`<p class="note">Only the largest ${values.length} are listed; type to filter by any other.</p>`}`;
}

/** @param {string} pattern @param {string} value */
function tests(pattern, value) {
  try {
    return new RegExp(`^(?:${pattern || ".*"})$`).test(value);
  } catch {
    return false;
  }
}
