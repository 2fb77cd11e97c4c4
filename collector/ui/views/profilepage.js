// @ts-check
// The profile page: its frame, and which of its states it is in.

import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { parseSelector } from "../model/selector.js";
import { printable } from "../model/text.js";
import { trustParts } from "../model/trust.js";
import { isEmpty } from "../session.js";
import { Flame } from "./flame.js";
import { ProfileJump } from "./jump.js";
import { ScopeBar } from "./scopebar.js";
import { Split } from "./split.js";
import { EmptyCollector, EmptySelection, Failure } from "./states.js";
import { Table } from "./table.js";
import { TimelineView } from "./timeline.js";
import { Toolbar } from "./toolbar.js";
import { TopBar } from "./topbar.js";
import { TrustBar } from "./trustbar.js";

/** @typedef {import("../session.js").Session} Session */
/** @typedef {import("../session.js").State} State */
/** @typedef {{ session: Session, state: State }} Props */

/** @param {{ session: Session, router: import("../router.js").Router }} props */
export function ProfilePage({ session, router }) {
  const [state, setState] = useState(session.get());
  useEffect(() => { setState(session.get()); return session.subscribe(setState); }, [session]);
  useEffect(() => { document.title = title(state.view.selector); }, [state.view.selector]);
  const props = { session, state };
  const empty = isEmpty(state.types);
  return html`
    <a class="skip" href="#graph">Skip to the flame graph</a>
    <${TopBar} ...${props} page="profiles" jump=${html`<${ProfileJump} ...${props} router=${router} />`} />
    ${empty ? html`<main class="page"><${EmptyCollector} /></main>` : html`
      <${ScopeBar} ...${props} />
      <main class="page">
        <${TimelineView} ...${props} />
        <${Toolbar} ...${props} />
        <${Body} ...${props} />
      </main>`}
    <${TrustBar} slot=${state.trust} parts=${state.trust.data && !empty ? trustParts(state.trust.data) : []} untilMs=${state.span.untilMs} />`;
}

/** What a tab and the history say: the service first, it tells one tab from the other. @param {string} selector */
function title(selector) {
  const service = parseSelector(selector)?.find(({ name, op }) => name === "service_name" && op === "=");
  return [...(service ? [printable(service.value)] : []), "Profiles", "Sonde"].join(" · ");
}

/** @param {Props} props */
function Body({ session, state }) {
  const failed = state.types.error ?? state.tree.error;
  if (failed && !state.tree.data) return html`<${Failure} error=${failed} onRetry=${session.retry} />`;
  const nothing = state.tree.data?.whole === 0 && state.tree.shown === state.tree.key;
  return html`
    ${failed && html`<${Failure} error=${failed} onRetry=${session.retry} slim />`}
    ${nothing ? html`<${EmptySelection} session=${session} state=${state} />` : html`
      <${Split} hidden=${state.view.table === "hidden"}
        left=${html`<${Flame} session=${session} state=${state} />`}
        right=${html`<${Table} session=${session} state=${state} />`} />`}`;
}
