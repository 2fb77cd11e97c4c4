// @ts-check
// A sign for those who see it, in words for those who don't.

import { html } from "../vendor/preact-htm.js";

/** @param {{ sign: string, words: unknown }} props */
export function Glyph({ sign, words }) {
  return html`<span aria-hidden="true">${sign}</span><span class="hidden">${words}</span>`;
}
