// Opens pages of a running collector in Chromium, and keeps account of everything they must not do.

import { chromium } from "playwright-core";

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** Address of a collector that holds data. */
export function collectorUrl() {
  const url = process.env.SONDE_URL;
  if (!url) throw new Error("SONDE_URL must name a running collector with data, like http://127.0.0.1:4040");
  return url.replace(/\/$/, "");
}

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
}

/**
 * A fresh browser profile at desktop size.
 * @param {import("playwright-core").Browser} browser
 * @param {object} [options] of the context
 */
export async function openContext(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "light", acceptDownloads: true, ...options });
  /** What no page of ours may do: speak to the console, fail, or ask anybody else. */
  const offences = [];
  const own = new URL(collectorUrl()).origin;
  context.on("console", (message) => offences.push(`console ${message.type()}: ${message.text()} (${message.location().url})`));
  context.on("weberror", (error) => offences.push(`page error: ${error.error().stack}`));
  context.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== own && protocol !== "data:" && protocol !== "blob:") offences.push(`request to ${request.url()}`);
  });
  context.on("response", (response) => {
    if (response.status() >= 400) offences.push(`HTTP ${response.status()} for ${response.url()}`);
  });
  return { context, offences };
}

/**
 * Goes to a view and waits until its graph is drawn.
 * @param {import("playwright-core").BrowserContext} context
 * @param {string} [search] "?…"
 */
export async function openView(context, search = "") {
  const page = await context.newPage();
  await page.goto(`${collectorUrl()}/profiles${search}`);
  await settled(page);
  return page;
}

/**
 * Until nothing is asked for any more and the graph shows frames.
 * @param {import("playwright-core").Page} page
 */
export async function settled(page) {
  await page.locator("#graph[aria-busy=false] [role=treeitem]").nth(1).waitFor({ state: "attached" });
  await page.locator("[role=table][aria-busy=false] [role=row] [role=cell]").first().waitFor();
  await page.waitForFunction(() => document.querySelector("#graph")?.getAttribute("aria-busy") === "false");
  // Two frames of the screen: what the answer changed is on the canvas.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

/**
 * What the collector itself says, asked past the page.
 * @param {string} path under /api/v1
 */
export async function ask(path) {
  const response = await fetch(`${collectorUrl()}/api/v1${path}`);
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status} ${await response.text()}`);
  return response.json();
}

/**
 * Frames of the graph as a screen reader meets them: depth and words.
 * @param {import("playwright-core").Page} page
 */
export async function frames(page) {
  return page.locator("#graph [role=treeitem]").evaluateAll((items) =>
    items.map((item) => ({ level: Number(item.getAttribute("aria-level")), words: item.textContent?.trim() ?? "" })));
}

/**
 * The middle of a box of the graph, given its row and its place in the row, as shares of the width.
 * @param {import("playwright-core").Page} page
 * @param {number} row
 * @param {number} from
 * @param {number} until
 */
export async function clickBox(page, row, from, until) {
  const box = await page.locator("#graph canvas").boundingBox();
  if (!box) throw new Error("the graph has no canvas");
  await page.mouse.click(box.x + ((from + until) / 2) * box.width, box.y + row * 21 + 10);
}

/**
 * Colour of one pixel of the graph, CSS pixels from its corner.
 * @param {import("playwright-core").Page} page
 * @param {number} x
 * @param {number} y
 */
export async function pixel(page, x, y) {
  return page.locator("#graph canvas").evaluate((canvas, at) => {
    const ratio = devicePixelRatio;
    // Read from a copy: Chromium would warn of the graph's own canvas being read.
    const copy = document.createElement("canvas");
    copy.width = copy.height = 1;
    const context = copy.getContext("2d");
    context?.drawImage(/** @type {HTMLCanvasElement} */ (canvas), -Math.round(at.x * ratio), -Math.round(at.y * ratio));
    return [...(context?.getImageData(0, 0, 1, 1).data ?? [])].slice(0, 3);
  }, { x, y });
}
