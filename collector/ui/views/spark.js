// @ts-check
// A line without axes, the size of a word.

import { html } from "../vendor/preact-htm.js";
import { sparkPath } from "../model/series.js";

const WIDTH = 160;
const HEIGHT = 20;

/** @param {{ values: (number | null)[] | undefined, label: string }} props */
export function Spark({ values, label }) {
  const path = sparkPath(values ?? [], WIDTH, HEIGHT);
  return path && html`<svg class="spark" role="img" aria-label=${label} viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none"><path d=${path} vector-effect="non-scaling-stroke" /></svg>`;
}
