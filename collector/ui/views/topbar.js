// @ts-check
// Name, pages, jump field, time range, live, theme: the same on every page.

import { html } from "../vendor/preact-htm.js";
import { isRelative } from "../model/range.js";
import { setTheme, theme, THEMES } from "../theme.js";
import { Choices, Menu } from "./menu.js";
import { Jump } from "./jump.js";
import { RangePicker } from "./rangepicker.js";

const THEME_WORDS = { system: "As the system", light: "Light", dark: "Dark" };

/** @param {import("./app.js").Props} props */
export function TopBar({ session, state }) {
  const { view } = state;
  const relative = isRelative(view.until);
  const live = view.live && relative;
  return html`
    <header class="topbar">
      <a class="brand" href="/profiles"><i class="ring" aria-hidden="true" />sonde</a>
      <nav aria-label="Pages"><a class="page-link" aria-current="page" href="/profiles">Profiles</a></nav>
      <span class="spring" />
      <${Jump} session=${session} state=${state} />
      <${RangePicker} session=${session} state=${state} />
      <button type="button" class="button live" aria-pressed=${live ? "true" : "false"} disabled=${!relative}
        title=${relative ? "Renews the view every 10 seconds" : "Only a range that ends now can be live"}
        onClick=${() => session.navigate({ live: !view.live })}><i class="dot" aria-hidden="true" />Live</button>
      <${Menu} label=${html`<span aria-hidden="true">◐</span><span class="hidden">Theme</span>`} title="Theme" kind="button icon" end>
        ${(/** @type {() => void} */ close) => html`<${Choices} current=${theme()}
          items=${THEMES.map((key) => ({ key, title: THEME_WORDS[key] }))}
          onPick=${(/** @type {import("../theme.js").Theme} */ key) => { setTheme(key); close(); }} />`}
      <//>
    </header>`;
}
