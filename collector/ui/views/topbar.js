// @ts-check
// Name, pages, jump field, time range, live, theme: the same on every page.

import { html } from "../vendor/preact-htm.js";
import { link, SECTIONS } from "../model/place.js";
import { isRelative } from "../model/range.js";
import { setTheme, theme, THEMES } from "../theme.js";
import { Glyph } from "./glyph.js";
import { Choices, Menu } from "./menu.js";
import { RangePicker } from "./rangepicker.js";

/**
 * What the frame needs of whichever page it is around.
 * @typedef {object} Framed
 * @property {{ navigate: (change: any, how?: { replace?: boolean }) => void }} session
 * @property {{ view: { from: string, until: string, live: boolean }, span: import("../model/range.js").Span }} state
 */

const THEME_WORDS = { system: "As the system", light: "Light", dark: "Dark" };

/** @param {Framed & { page: import("../model/place.js").PageName, jump: unknown, timeless?: boolean }} props `timeless`: the page has no range */
export function TopBar({ session, state, page, jump, timeless = false }) {
  const { view } = state;
  const relative = isRelative(view.until);
  const live = view.live && relative;
  return html`
    <header class="topbar">
      <a class="brand" href=${link("/", {}, view)}><i class="ring" aria-hidden="true" />sonde</a>
      <nav aria-label="Pages">${SECTIONS.map(({ path, title, pages }) => html`
        <a key=${path} class="page-link" aria-current=${pages.includes(page) ? "page" : undefined} href=${link(path, {}, view)}>${title}</a>`)}</nav>
      <span class="spring" />
      ${jump}
      ${!timeless && html`
        <${RangePicker} session=${session} state=${state} />
        <button type="button" class="button live" aria-pressed=${live ? "true" : "false"} disabled=${!relative}
          title=${relative ? "Renews the view every 10 seconds" : "Only a range that ends now can be live"}
          onClick=${() => session.navigate({ live: !view.live })}><i class="dot" aria-hidden="true" />Live</button>`}
      <${Menu} label=${html`<${Glyph} sign="◐" words="Theme" />`} title="Theme" kind="button icon" end>
        ${(/** @type {() => void} */ close) => html`<${Choices} current=${theme()}
          items=${THEMES.map((key) => ({ key, title: THEME_WORDS[key] }))}
          onPick=${(/** @type {import("../theme.js").Theme} */ key) => { setTheme(key); close(); }} />`}
      <//>
    </header>`;
}
