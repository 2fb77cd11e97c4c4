// Services, traces and the map in a real Chromium, against a running collector that gets its data here, over OTLP.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { hostileTrace, largeTrace, push, SHOP, shopMetrics, shopTrace } from "./otlp.mjs";
import { ask, collectorUrl, launch, openContext } from "./page.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const shots = process.env.SONDE_SHOTS ?? mkdtempSync(join(tmpdir(), "sonde-shots-"));
const LARGE = 50_000;

/** @type {import("playwright-core").Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof openContext>>} */
let opened;
/** Traces that were sent: a usual one with an error, one with wrong parents, one of many spans. */
const ids = { shop: "", hostile: "", large: "" };
/** Tells this run's traces from those of one before. */
const RUN = `run-${Date.now()}`;

before(async () => {
  mkdirSync(shots, { recursive: true });
  const now = Date.now();
  ids.shop = await push.trace(shopTrace(now - 60_000, { run: RUN, failed: true }));
  for (let at = 1; at < 30; at++) await push.trace(shopTrace(now - 20_000 * at, { factor: at % 7 }));
  ids.hostile = await push.trace(hostileTrace(now - 30_000));
  ids.large = await push.trace(largeTrace(now - 90_000, LARGE));
  await push.metrics(shopMetrics(now));
  browser = await launch();
  for (let tries = 0; ; tries++) {
    const { services } = await ask("/services?from=now-15m&until=now");
    if (services.some((one) => one.service === SHOP.checkout && one.requests > 0)) break;
    assert.ok(tries < 100, `the collector shows nothing of what it took: ${JSON.stringify(services)}`);
    await new Promise((done) => setTimeout(done, 100));
  }
});
after(() => browser?.close());
beforeEach(async () => { opened = await openContext(browser); });
afterEach(async () => {
  await opened.context.close();
  assert.deepEqual(opened.offences, [], "no console message, no failed request, no request to another origin");
});

/** @param {string} path */
async function open(path) {
  const page = await opened.context.newPage();
  await page.goto(`${collectorUrl()}${path}`);
  await settled(page);
  return page;
}

/** @param {import("playwright-core").Page} page */
async function settled(page) {
  await page.waitForFunction(() => document.querySelector("#content") && document.querySelector("#content")?.getAttribute("aria-busy") !== "true");
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

/** @param {import("playwright-core").Page} page */
const query = (page) => new URL(page.url()).searchParams;

test("where there are services, they are the first page, with the collector's own figures", async () => {
  const page = await open("/");
  await page.waitForURL("**/services");
  const { services } = await ask("/services?from=now-15m&until=now");
  const own = services.find((one) => one.service === SHOP.checkout);
  const row = page.getByRole("row").filter({ has: page.getByRole("link", { name: SHOP.checkout, exact: true }) });
  await row.waitFor();
  assert.match(await row.innerText(), new RegExp(`${(100 * own.error_rate).toFixed(1)} %`));
  assert.match(await row.innerText(), /needs attention/);
  await page.screenshot({ path: join(shots, "services.png") });
});

test("services are narrowed, sorted, and lead to their page and back", async () => {
  const page = await open("/services");
  await page.keyboard.press("f");
  await page.keyboard.type(SHOP.checkout);
  await page.waitForFunction(() => document.querySelectorAll(".list tbody tr").length === 1);
  assert.equal(query(page).get("q"), SHOP.checkout);
  await page.getByRole("columnheader", { name: "p99" }).getByRole("button").click();
  assert.equal(query(page).get("sort"), "p99_s");
  await page.getByRole("link", { name: SHOP.checkout, exact: true }).click();
  await page.waitForURL("**/service?name=*");
  await page.goBack();
  assert.equal(await page.getByRole("searchbox").inputValue(), SHOP.checkout);
});

test("a service that sends only spans is not given a rate", async () => {
  const page = await open(`/services?q=${SHOP.worker}`);
  const row = page.getByRole("row").filter({ hasText: SHOP.worker });
  assert.match(await row.innerText(), /spans only; no request metrics/);
  await row.getByRole("link").click();
  await page.getByRole("heading", { name: /are not counted/ }).waitFor();
  await page.getByRole("link", { name: "See its traces" }).click();
  await page.waitForURL(`**/traces?service=${SHOP.worker}`);
});

test("a route is looked at alone, and leads to the traces of its errors", async () => {
  const page = await open(`/service?name=${SHOP.checkout}`);
  const { routes } = await ask(`/services/routes?service=${SHOP.checkout}&from=now-15m&until=now`);
  assert.equal(await page.locator(".routes tbody tr").count(), routes.length);
  await page.getByRole("button", { name: /\/cart\/\{id\}\/pay/ }).click();
  await page.getByText("Latency of /cart/{id}/pay").waitFor();
  assert.equal(query(page).get("route"), "/cart/{id}/pay");
  await page.screenshot({ path: join(shots, "service.png") });
  await page.getByRole("row").filter({ hasText: "/cart/{id}/pay" }).getByTitle("Traces of its errors").click();
  await page.waitForURL("**/traces?*status=error*");
  await settled(page);
  const { traces } = await ask(`/traces?service=${SHOP.checkout}&route=${encodeURIComponent("/cart/{id}/pay")}&status=error&from=now-15m&until=now`);
  assert.ok(traces.some((one) => one.trace_id === ids.shop));
  assert.equal(await page.locator(".traces tbody tr").count(), traces.length);
});

test("dragging over the heatmap opens the traces of that time and duration", async () => {
  const page = await open(`/service?name=${SHOP.checkout}`);
  const plot = await page.locator(".heat-plot").boundingBox();
  await page.mouse.move(plot.x + plot.width * 0.3, plot.y + 2);
  await page.mouse.down();
  await page.mouse.move(plot.x + plot.width - 2, plot.y + plot.height - 24, { steps: 6 });
  await page.locator(".heat-area").waitFor();
  assert.match(await page.locator(".heat .readout").innerText(), /requests? · release/);
  await page.mouse.up();
  await page.waitForURL("**/traces?*");
  const asked = query(page);
  assert.equal(asked.get("service"), SHOP.checkout);
  assert.ok(Number(asked.get("from")) < Number(asked.get("until")));
  await page.goBack();
  await page.locator(".heat-plot").waitFor();
});

test("dragging on a chart narrows the range, and Back gives it back", async () => {
  const page = await open(`/service?name=${SHOP.checkout}`);
  const plot = await page.locator(".chart").first().boundingBox();
  await page.mouse.move(plot.x + plot.width * 0.5, plot.y + 30);
  await page.mouse.down();
  await page.mouse.move(plot.x + plot.width * 0.9, plot.y + 30, { steps: 5 });
  await page.mouse.up();
  await page.waitForURL(/from=\d+&until=\d+/);
  await page.goBack();
  assert.equal(query(page).get("from"), null);
});

test("traces are found by text, attribute, status and duration, with no service named", async () => {
  const page = await open("/traces");
  assert.ok(await page.locator(".traces tbody tr").count() >= 30);
  await page.getByLabel("Attribute").fill(`test.run=${RUN}`);
  await page.getByLabel("Attribute").press("Enter");
  await page.waitForURL(`**/traces?attribute=test.run%3D${RUN}`);
  await page.waitForFunction(() => document.querySelectorAll(".traces tbody tr").length === 1);
  assert.match(await page.locator(".traces tbody tr").innerText(), /gateway POST \/cart\/\{id\}\/pay/);
  await page.getByRole("button", { name: `Remove the condition test.run=${RUN}` }).click();
  await page.getByRole("button", { name: "errors", exact: true }).click();
  await page.getByLabel("Longer, ms").fill("9000000");
  await page.getByRole("heading", { name: "No trace matches" }).waitFor();
  await page.getByRole("button", { name: "Remove all conditions" }).click();
  await page.locator(".traces tbody tr").first().waitFor();
  assert.equal(new URL(page.url()).search, "");
  await page.screenshot({ path: join(shots, "traces.png") });
});

test("a point of the scatter opens its trace", async () => {
  const until = Date.now();
  const from = until - 900_000;
  const page = await open(`/traces?attribute=test.run%3D${RUN}&from=${from}&until=${until}`);
  const box = await page.locator(".scatter").boundingBox();
  const { start_ms } = (await ask(`/traces?attribute=test.run%3D${RUN}&from=${from}&until=${until}`)).traces[0];
  // Where the page draws time: labels of durations at its left, some air at its right.
  const x = box.x + 62 + ((start_ms - from) / (until - from)) * (box.width - 62 - 16);
  for (let y = 4; y < 130; y += 6) {
    await page.mouse.move(x, box.y + y);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    if (!await page.locator(".scatter .readout").isVisible()) continue;
    assert.match(await page.locator(".scatter .readout").innerText(), /gateway POST/);
    await page.mouse.click(x, box.y + y);
    break;
  }
  await page.waitForURL(`**/trace/${ids.shop}?*`);
});

test("a trace shows its spans, its error and what its end waited for", async () => {
  const page = await open(`/trace/${ids.shop}`);
  const rows = page.locator(".span-row");
  const answer = await ask(`/traces/${ids.shop}`);
  assert.equal(await rows.count(), answer.spans.length);
  assert.equal(await page.locator(".failed-mark").count(), answer.spans.filter((span) => span.status === "error").length);
  assert.ok(await page.locator(".critical").count() > 0);
  await page.locator(".span-row", { hasText: "INSERT orders" }).click();
  const detail = page.getByRole("complementary", { name: "The picked span" });
  assert.match(await detail.innerText(), /duplicate key/);
  assert.match(await detail.innerText(), /db\.system\.name\s+postgresql/);
  assert.match(await detail.innerText(), /exception/);
  assert.match(await detail.innerText(), /service\.name/);
  await page.waitForURL(/span=[0-9a-f]{16}$/);
  await page.screenshot({ path: join(shots, "trace.png") });
  await page.reload();
  await settled(page);
  assert.match(await page.locator(".span-row.chosen").innerText(), /INSERT orders/);
});

test("a trace is walked, closed and searched by keys", async () => {
  const page = await open(`/trace/${ids.shop}`);
  await page.keyboard.press("g");
  await page.keyboard.press("j");
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.locator(".span-row.chosen").getAttribute("aria-rowindex"), "3");
  assert.equal(await page.locator("[role=treegrid]").getAttribute("aria-activedescendant"), await page.locator(".span-row.chosen").getAttribute("id"));
  const before = await page.locator(".span-row").count();
  await page.keyboard.press("Enter");
  assert.ok(await page.locator(".span-row").count() < before);
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.locator(".span-row").count(), before);
  await page.keyboard.press("p");
  assert.equal(await page.locator(".span-row").count(), 1);
  await page.keyboard.press("f");
  await page.keyboard.type("insert");
  await page.waitForFunction(() => document.querySelector(".find .count")?.textContent === "1 span");
  await page.keyboard.press("Enter");
  assert.match(await page.locator(".span-row.chosen").innerText(), /INSERT orders/);
  await page.keyboard.press("Escape");
  assert.equal(query(page).get("q"), null);
});

test("part of a trace is zoomed to on its small picture, and Esc gives the whole back", async () => {
  const page = await open(`/trace/${ids.shop}`);
  const box = await page.locator(".minimap-plot").boundingBox();
  await page.mouse.move(box.x + box.width * 0.4, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 20, { steps: 4 });
  await page.mouse.up();
  await page.waitForURL(/part=0\.\d+-0\.\d+/);
  await page.keyboard.press("Escape");
  assert.equal(query(page).get("part"), null);
});

test("spans without their parents are shown as such, and circles do not hang the page", async () => {
  const page = await open(`/trace/${ids.hostile}`);
  const answer = await ask(`/traces/${ids.hostile}`);
  assert.equal(await page.locator(".span-row").count(), answer.spans.length);
  assert.ok(await page.getByText("parent not received").count() > 0);
  assert.ok(await page.getByText("parents lead in a circle").count() > 0);
  assert.match(await page.locator(".trustbar").innerText(), /Incomplete/);
  assert.match(await page.locator(".trustbar").innerText(), /without (its|their) parent/);
  assert.equal(await page.locator("b", { hasText: "evil" }).count() > 0, true);
  await page.screenshot({ path: join(shots, "hostile.png") });
});

test("fifty thousand spans can be scrolled, closed and searched", async () => {
  const page = await open(`/trace/${ids.large}`);
  assert.equal(await page.locator("[role=treegrid]").getAttribute("aria-rowcount"), String(LARGE));
  assert.ok(await page.locator(".span-row").count() < 100, "only rows on the screen exist");
  await page.keyboard.press("g");
  const before = Date.now();
  await page.keyboard.press("End");
  await page.waitForFunction((last) => document.querySelector(".span-row.chosen")?.getAttribute("aria-rowindex") === last, String(LARGE));
  await page.keyboard.press("p");
  await page.waitForFunction(() => document.querySelectorAll(".span-row").length === 1);
  assert.ok(Date.now() - before < 5000, `${Date.now() - before} ms`);
  await page.screenshot({ path: join(shots, "large.png") });
});

test("a trace is taken away as the JSON that the collector says it is", async () => {
  const page = await open(`/trace/${ids.shop}`);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: /JSON/ }).click()]);
  const saved = JSON.parse(readFileSync(await download.path(), "utf8"));
  assert.equal(saved.trace_id, ids.shop);
  assert.equal(download.suggestedFilename(), `trace-${ids.shop}.json`);
});

test("a trace that is not here says so, in the collector's words", async () => {
  const page = await open("/services");
  const unknown = "0123456789abcdef0123456789abcdef";
  await page.keyboard.press("/");
  await page.keyboard.type(unknown);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "This trace is not here" }).waitFor();
  assert.equal(new URL(page.url()).pathname, `/trace/${unknown}`);
  opened.offences.splice(0).forEach((one) => assert.match(one, /404/));
});

test("the map shows who calls whom, and leads to a service", async () => {
  const page = await open("/map");
  const { nodes, edges } = await ask("/servicemap?from=now-15m&until=now");
  assert.ok(edges.length > 0);
  assert.equal(await page.locator(".map-node").count(), nodes.length);
  await page.locator(".map-node", { hasText: SHOP.bank }).locator(".words", { hasText: "external" }).waitFor();
  await page.screenshot({ path: join(shots, "map.png") });
  await page.locator(".map-node a", { hasText: SHOP.checkout }).click();
  await page.waitForURL(`**/service?name=${SHOP.checkout}`);
  const table = await open("/map?view=table");
  assert.equal(await table.locator(".calls tbody tr").count(), edges.length);
});

test("the range goes along from page to page", async () => {
  const page = await open("/services?from=now-1h");
  for (const name of ["Traces", "Map", "Profiles", "Services"]) {
    await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name }).click();
    await page.waitForFunction((title) => document.querySelector(".page-link[aria-current]")?.textContent === title, name);
    assert.equal(query(page).get("from"), "now-1h", name);
    assert.match(await page.locator(".range [aria-haspopup]").innerText(), /Last hour/);
  }
  await page.goBack();
  assert.equal(new URL(page.url()).pathname, "/profiles");
});

test("axe finds nothing serious on any page, light and dark, wide and narrow, and none is wider than the window", async () => {
  for (const options of /** @type {const} */ ([{}, { colorScheme: "dark", viewport: { width: 390, height: 844 } }])) {
    const { context, offences } = await openContext(browser, { ...options, bypassCSP: true });
    const page = await context.newPage();
    for (const path of ["/services", `/service?name=${SHOP.checkout}`, "/traces", `/trace/${ids.shop}`, `/trace/${ids.hostile}`, "/map", "/map?view=table", "/traces?text=nothing-like-this"]) {
      await page.goto(`${collectorUrl()}${path}`);
      await settled(page);
      await page.waitForTimeout(250);
      await page.evaluate(AXE);
      const { violations } = await page.evaluate(() => /** @type {any} */ (window).axe.run());
      const serious = violations.filter((one) => one.impact === "serious" || one.impact === "critical")
        .map((one) => `${path} ${one.id}: ${one.nodes.map((node) => `${node.target} ${node.failureSummary}`).join(" | ")}`);
      assert.deepEqual(serious, []);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, path);
    }
    assert.deepEqual(offences, []);
    await context.close();
  }
});
