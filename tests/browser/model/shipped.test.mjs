// Facts about the files as they are served: size, origins, contrast, no inline code.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const UI = new URL("../../../collector/ui/", import.meta.url).pathname;
const BUDGET_BYTES = 150_000;

const files = readdirSync(UI, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name));
const text = (file) => readFileSync(file, "utf8");
const own = files.filter((file) => !file.includes("/vendor/"));

test("everything the page loads fits its budget", () => {
  const loaded = files.filter((file) => /\.(js|css|html|svg)$/.test(file));
  const bytes = loaded.reduce((sum, file) => sum + gzipSync(readFileSync(file), { level: 9 }).length, 0);
  assert.ok(bytes <= BUDGET_BYTES, `${bytes} bytes gzipped, file by file`);
});

test("every module is asked for at once, not import by import", () => {
  const named = [...text(join(UI, "index.html")).matchAll(/(?:modulepreload" href|src)="\/ui\/([^"]+\.js)"/g)].map((found) => found[1]);
  assert.deepEqual(named.toSorted(), files.filter((file) => file.endsWith(".js")).map((file) => file.slice(UI.length)).toSorted());
});

test("no file names another origin", () => {
  for (const file of own) assert.doesNotMatch(text(file).replaceAll("http://www.w3.org/2000/svg", ""), /(https?:)?\/\/[a-z0-9-]+\.[a-z]/i, file);
});

test("nothing is written inline that the content security policy would refuse", () => {
  for (const file of own.filter((one) => /\.(js|html)$/.test(one))) {
    assert.doesNotMatch(text(file), /\sstyle="|\son[a-z]+="|<script>|\beval\(|new Function\(|innerHTML|insertAdjacentHTML/, file);
  }
});

test("every module says what it is and is type-checked", () => {
  for (const file of own.filter((one) => one.endsWith(".js"))) {
    const [first, second] = text(file).split("\n");
    assert.equal(first, "// @ts-check", file);
    assert.match(second, /^\/\/ [A-Z].+/, file);
  }
});

test("labels and page text keep a contrast of 4.5 to 1 in both themes", () => {
  const css = text(join(UI, "style/tokens.css"));
  const token = (name) => {
    const found = new RegExp(`--${name}: (?:light-dark\\((#\\w+), (#\\w+)\\)|(#\\w+))`).exec(css);
    assert.ok(found, name);
    return [found[1] ?? found[3], found[2] ?? found[3]];
  };
  const boxes = ["native", "kernel", "runtime", "interpreted", "unknown", ...Array.from({ length: 12 }, (_, hue) => `hue-${hue}`)];
  const pairs = [...boxes.map((box) => ["box-ink", box]), ["ink", "back"], ["second", "panel"], ["third", "back"], ["third", "panel"], ["third", "faint"],
    ["second", "faint"], ["accent", "ground"], ["accent", "panel"], ["ink", "ground"], ["warning", "panel"], ["bad", "panel"], ["bad", "back"], ["accent", "back"], ["second", "ground"]];
  for (const theme of [0, 1]) {
    for (const [ink, ground] of pairs) {
      const ratio = contrast(token(ink)[theme], token(ground)[theme]);
      assert.ok(ratio >= 4.5, `${ink} on ${ground}, theme ${theme}: ${ratio.toFixed(2)}`);
    }
  }
});

/** Contrast of two colours as WCAG defines it. */
function contrast(one, other) {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(hex) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
