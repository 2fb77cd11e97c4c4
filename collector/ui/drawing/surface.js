// @ts-check
// A canvas in CSS pixels, sharp on every screen, and the style sheet's colours for it.

/**
 * Sizes the bitmap to its box and returns a context whose unit is the CSS pixel.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
export function prepare(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  const [wide, high] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: true }));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

const TOKENS = [
  "panel", "line", "faint", "ink", "second", "third", "accent", "ground", "match", "box-ink", "back", "bad", "kernel-line",
  "native", "kernel", "runtime", "interpreted", "unknown", "service", ...Array.from({ length: 12 }, (_, hue) => `hue-${hue}`),
];

/** @typedef {Record<string, string>} Colours */

/** @type {Colours | null} */
let colours = null;

/** The theme's colours, resolved: a canvas can't read `light-dark()`. @returns {Colours} */
export function themeColours() {
  if (colours) return colours;
  const probe = document.createElement("i");
  document.body.append(probe);
  colours = Object.fromEntries(TOKENS.map((token) => {
    probe.style.color = `var(--${token})`;
    return [token, getComputedStyle(probe).color];
  }));
  probe.remove();
  return colours;
}

/** To be called when the theme has changed. */
export function forgetColours() {
  colours = null;
}
