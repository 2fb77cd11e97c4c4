// The profiles page in a real Chromium, driven as a person would, against a running collector with data.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { ask, clickBox, frames, launch, openContext, openView, pixel, settled } from "./page.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** Longest time after which a sample of now has arrived. */
const WINDOW_MS = Number(process.env.SONDE_WINDOW_MS ?? 13_000);
const MATCH = [0xd9, 0x60, 0x3b];
const README_SHOT = new URL("shots/profile.png", import.meta.url).pathname;
const shots = process.env.SONDE_SHOTS ?? mkdtempSync(join(tmpdir(), "sonde-shots-"));

/** @type {import("playwright-core").Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof openContext>>} */
let opened;
/** A range that stands still and has data, as address parameters. */
let still = "";
/** The tree of that range. @type {any} */
let tree;

before(async () => {
  mkdirSync(shots, { recursive: true });
  browser = await launch();
  tree = await settledTree();
  assert.ok(tree.total > 0, "the collector has no samples of the last 15 minutes: there is nothing to test with");
});
after(() => browser.close());
beforeEach(async () => { opened = await openContext(browser); });
afterEach(async () => {
  await opened.context.close();
  assert.deepEqual(opened.offences, [], "no console message, no failed request, no request to another origin");
});

const open = (search = `?${still}`) => openView(opened.context, search);
/** The last 15 minutes, once agents have sent what they still hold of them: a window is 10 seconds long. */
async function settledTree() {
  const { from_ms, until_ms } = await ask("/profile/tree?from=now-15m&until=now");
  still = `from=${from_ms}&until=${until_ms}`;
  await setTimeout(WINDOW_MS);
  return ask(`/profile/tree?${still}`);
}

const shareOf = (node) => [tree.nodes.x[node] / tree.total, (tree.nodes.x[node] + tree.nodes.total[node]) / tree.total];
const nameOf = (node) => tree.names[tree.nodes.name[node]];
const query = (page) => new URL(page.url()).searchParams;

/** What a view says, as far as it must not depend on the moment. */
async function said(page) {
  return { summary: await page.locator(".summary").innerText(), frames: await frames(page), rows: await page.locator("[role=row] code").allInnerTexts() };
}

test("the page opens on the last minutes and names their functions", async () => {
  const page = await open("");
  const words = (await frames(page)).map((frame) => frame.words);
  assert.ok(words[0].startsWith("all, total "), words[0]);
  assert.ok(words.length > 1, "the first frames below the root can be read");
  assert.match(await page.locator(".summary").innerText(), /CPU of 15 min · [\d.,< ]+ cores? · [\d,]+ samples? · ± /);
  assert.ok(await page.locator("[role=row] code").first().innerText());
  await page.screenshot({ path: join(shots, "profile-light.png") });
});

test("names and figures are those of the collector", async () => {
  const page = await open();
  const top = await ask(`/profile/top?${still}&limit=5`);
  const rows = await page.locator("[role=row] code").allInnerTexts();
  assert.deepEqual(rows.slice(0, 5), top.rows.map((row) => row.name));
  assert.ok((await frames(page)).some(({ words }) => words.startsWith(`${nameOf(1)}, total `)));
});

test("a click zooms, Esc and the breadcrumb lead back", async () => {
  const page = await open();
  await clickBox(page, 1, ...shareOf(1));
  await settled(page);
  assert.match(query(page).get("root") ?? "", /^[0-9a-f]{16}$/);
  assert.equal(await page.locator(".crumb.here").innerText(), nameOf(1));
  assert.deepEqual((await frames(page)).slice(0, 2).map(({ level }) => level), [1, 2], "the frames above stay in the tree");
  await page.keyboard.press("Escape");
  await settled(page);
  assert.equal(query(page).get("root"), null);
  await clickBox(page, 1, ...shareOf(1));
  await settled(page);
  await page.locator(".crumb.all").click();
  await settled(page);
  assert.equal(query(page).get("root"), null);
  assert.equal(await page.locator(".crumb").count(), 0);
});

test("pointing at a box says what it is, without drawing the page again", async () => {
  const page = await open();
  const box = await page.locator("#graph canvas").boundingBox();
  await page.mouse.move(box.x + 20, box.y + 30);
  await page.locator(".card").waitFor();
  assert.equal(await page.locator(".card h2").innerText(), nameOf(1));
  assert.match(await page.locator(".card").innerText(), /total\s+[\d.]+ \S+\s+[\d.]+ %/);
  await page.screenshot({ path: join(shots, "hover.png") });
  await page.mouse.move(box.x + 20, box.y - 60);
  await page.locator(".card").waitFor({ state: "hidden" });
});

test("a search counts in the whole tree, underlines what it found and walks it", async () => {
  const page = await open();
  // The second row holds services, which are no functions: the third has the first that can be found.
  const wanted = nameOf(2);
  await page.locator("#find").fill(wanted);
  await page.waitForFunction(() => /frame/.test(document.querySelector(".find .count")?.textContent ?? ""));
  const answer = await ask(`/profile/tree?${still}&q=${encodeURIComponent(wanted)}`);
  const count = answer.match.frames.toLocaleString("en");
  assert.match(await page.locator(".find .count").innerText(), new RegExp(`^${count} frames? · [\\d.]+ %$`));
  await settled(page);
  const [from, until] = shareOf(2);
  const box = await page.locator("#graph canvas").boundingBox();
  assert.deepEqual(await pixel(page, ((from + until) / 2) * box.width, 2 * 21 + 18), MATCH, "the match is underlined");
  assert.notDeepEqual(await pixel(page, box.width / 2, 18), MATCH, "the root is not");
  await page.locator("#find").press("Enter");
  await page.locator(".here-box.walking").waitFor();
  assert.ok((await page.locator("[data-spoken]").innerText()).toLowerCase().includes(wanted.toLowerCase()));
  await page.screenshot({ path: join(shots, "search.png") });
  await page.locator("#find").press("Escape");
  await page.waitForFunction(() => !location.search.includes("q="));
});

test("a row of the table finds its function in the graph", async () => {
  const page = await open();
  const row = page.locator("[role=row]:has(code)").nth(1);
  const name = await row.locator("code").innerText();
  await row.click();
  await page.locator(".row.chosen").first().waitFor();
  await settled(page);
  assert.match(query(page).get("q") ?? "", /^\/\^.+\$\/$/);
  assert.equal(await page.locator(".row.chosen code").first().innerText(), name);
  await page.getByRole("button", { name: "only matches" }).click();
  const { functions } = await ask(`/profile/top?${still}&q=${encodeURIComponent(query(page).get("q") ?? "")}`);
  await page.waitForFunction((count) => document.querySelector(".head .name")?.textContent?.startsWith(`${count} function`), functions.toLocaleString("en"));
});

test("the table sorts by self on the whole tree", async () => {
  const page = await open();
  await page.getByRole("columnheader", { name: "Self" }).getByRole("button").click();
  await page.waitForFunction(() => location.search.includes("sort=self"));
  await settled(page);
  const top = await ask(`/profile/top?${still}&sort=self&limit=3`);
  await page.waitForFunction((name) => document.querySelector("[role=row] code")?.textContent === name, top.rows[0].name);
});

test("another range is chosen from the list, an own one from two times", async () => {
  const page = await open("");
  await page.locator(".range [aria-haspopup]").click();
  await page.getByRole("button", { name: "Last 5 minutes" }).click();
  await page.waitForFunction(() => location.search.includes("from=now-5m"));
  assert.match(await page.locator(".range [aria-haspopup]").innerText(), /Last 5 minutes/);
  await page.locator(".range [aria-haspopup]").click();
  await page.getByRole("button", { name: "Show this range" }).click();
  await page.waitForFunction(() => /from=\d+&until=\d+/.test(location.search));
  assert.ok(await page.locator(".live").isDisabled(), "a range that stands still is not live");
});

test("dragging on the timeline picks a range, a click gives it back", async () => {
  const page = await open();
  const plot = await page.locator(".plot").boundingBox();
  await page.mouse.move(plot.x + plot.width * 0.5, plot.y + 40);
  await page.mouse.down();
  await page.mouse.move(plot.x + plot.width * 0.999, plot.y + 45, { steps: 5 });
  await page.mouse.up();
  await page.waitForFunction(() => location.search.includes("select="));
  await page.locator(".selection").waitFor();
  const [from, until] = (query(page).get("select") ?? "").split("-").map(Number);
  assert.ok(from >= tree.from_ms && until <= tree.until_ms && from < until);
  await page.screenshot({ path: join(shots, "picked.png") });
  await page.mouse.click(plot.x + plot.width * 0.25, plot.y + 40);
  await page.waitForFunction(() => !location.search.includes("select="));
});

test("a filter is added by keys alone and removed by its cross", async () => {
  const page = await open();
  const [largest] = (await ask(`/labels/service_name/values?${still}`)).values;
  await page.getByRole("button", { name: "+ filter" }).press("Enter");
  await page.getByRole("combobox", { name: "Label" }).pressSequentially("service");
  await page.getByRole("option", { name: /^service/ }).waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("option").first().waitFor();
  await page.getByRole("option", { name: largest.value }).first().waitFor();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => location.search.includes("selector="));
  assert.equal(query(page).get("selector"), `{service_name="${largest.value}"}`);
  await settled(page);
  await page.getByRole("button", { name: "Remove the filter on service" }).click();
  await page.waitForFunction(() => !location.search.includes("selector="));
});

test("the jump field leads to a service and to a function", async () => {
  const page = await open();
  const [largest] = (await ask(`/labels/service_name/values?${still}`)).values;
  await page.keyboard.press("/");
  await page.keyboard.type(largest.value);
  await page.locator(".jump [role=option]").filter({ hasText: "service" }).first().click();
  await page.waitForFunction(() => location.search.includes("selector="));
  await page.keyboard.press("/");
  await page.keyboard.type(nameOf(1));
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => location.search.includes("q="));
});

test("dark is dark, and remembered", async () => {
  const page = await open();
  await page.getByRole("button", { name: "Theme" }).click();
  await page.getByRole("button", { name: "Dark", exact: true }).click();
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(20, 23, 27)");
  await page.reload();
  await settled(page);
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(20, 23, 27)");
  await page.screenshot({ path: join(shots, "profile-dark.png") });
});

test("back and forward walk through the views", async () => {
  const page = await open();
  await page.getByRole("button", { name: "Flame", exact: true }).click();
  await clickBoxUpwards(page);
  await settled(page);
  const root = query(page).get("root");
  assert.ok(root);
  await page.goBack();
  await settled(page);
  assert.equal(query(page).get("root"), null);
  assert.equal(await page.getByRole("button", { name: "Flame", exact: true }).getAttribute("aria-pressed"), "true");
  await page.goBack();
  assert.equal(await page.getByRole("button", { name: "Icicle" }).getAttribute("aria-pressed"), "true");
  await page.goForward();
  await page.goForward();
  await settled(page);
  assert.equal(query(page).get("root"), root);
});

/** The widest frame above the root, where callees are drawn upwards. */
async function clickBoxUpwards(page) {
  const box = await page.locator("#graph .scroller").boundingBox();
  const [from, until] = shareOf(1);
  await page.mouse.click(box.x + ((from + until) / 2) * box.width, box.y + box.height - 21 - 10);
}

test("a reload and a deep link give the same view", async () => {
  const page = await open();
  await clickBox(page, 1, ...shareOf(1));
  await page.locator("#find").fill("a");
  await page.waitForFunction(() => location.search.includes("q=a"));
  await settled(page);
  const first = await said(page);
  await page.reload();
  await settled(page);
  assert.deepEqual(await said(page), first);
  const other = await openView(opened.context, new URL(page.url()).search);
  assert.deepEqual(await said(other), first);
});

test("files are delivered as what they claim to be", async () => {
  const page = await open();
  for (const [name, looksRight] of /** @type {const} */ ([
    ["pprof", (bytes) => bytes[0] === 0x1f && bytes[1] === 0x8b],
    ["Folded stacks", (bytes) => /^\S.*;.* \d+$/m.test(bytes.toString("utf8"))],
    ["SVG", (bytes) => /<svg[\s>]/.test(bytes.toString("utf8"))],
  ])) {
    await page.getByRole("button", { name: /Download/ }).click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name }).click()]);
    const path = await download.path();
    assert.ok(looksRight(readFileSync(path)), `${name}: ${download.suggestedFilename()}`);
  }
});

test("a link to share keeps its range", async () => {
  const page = await open("");
  await page.getByRole("button", { name: "Share" }).click();
  const links = await page.locator(".panel.share input").evaluateAll((fields) => fields.map((field) => /** @type {HTMLInputElement} */ (field).value));
  assert.equal(links.length, 2);
  assert.doesNotMatch(links[0], /from=\d/, "one moves with the clock");
  assert.match(links[1], /from=\d+&until=\d+/, "one stands still");
});

test("the graph is walked by keys, and says where it is", async () => {
  const page = await open();
  await page.keyboard.press("g");
  await page.keyboard.press("ArrowDown");
  const current = page.locator("#graph [role=treeitem][aria-selected=true]");
  assert.ok((await current.innerText()).startsWith(nameOf(1)));
  assert.ok((await page.locator("[data-spoken]").innerText()).startsWith(`${nameOf(1)}, total `));
  assert.equal(await page.locator("#graph [role=tree]").getAttribute("aria-activedescendant"), await current.getAttribute("id"));
  await page.keyboard.press("ArrowUp");
  assert.ok((await current.innerText()).startsWith("all"));
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await settled(page);
  assert.ok(query(page).get("root"));
  await page.keyboard.press("Backspace");
  await settled(page);
  assert.equal(query(page).get("root"), null);
  await page.keyboard.press("?");
  assert.ok(await page.locator("dialog.help").isVisible());
  await page.keyboard.press("Escape");
  assert.ok(!(await page.locator("dialog.help").isVisible()));
});

test("axe finds nothing serious, light and dark, with a panel open and on a phone", async () => {
  for (const [options, act] of /** @type {const} */ ([
    [{}, async () => {}],
    [{ colorScheme: "dark" }, async (page) => page.getByRole("button", { name: "+ filter" }).click()],
    [{ colorScheme: "dark" }, async (page) => { await page.locator("#find").fill("a"); await page.locator(".find .count").waitFor(); }],
    [{ viewport: { width: 390, height: 844 } }, async () => {}],
  ])) {
    const { context, offences } = await openContext(browser, { ...options, bypassCSP: true });
    const page = await openView(context, `?${still}`);
    await act(page);
    await settled(page);
    await page.waitForTimeout(300);
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => /** @type {any} */ (window).axe.run());
    const serious = violations.filter((one) => one.impact === "serious" || one.impact === "critical")
      .map((one) => `${one.id}: ${one.nodes.map((node) => `${node.target} ${node.failureSummary}`).join(" | ")}`);
    assert.deepEqual(serious, []);
    assert.deepEqual(offences, []);
    await context.close();
  }
});

test("every width keeps the page inside the window", async () => {
  for (const [width, height] of [[390, 844], [1280, 800], [3840, 2160]]) {
    const { context } = await openContext(browser, { viewport: { width, height } });
    const page = await openView(context, `?${still}`);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
    await page.screenshot({ path: join(shots, `profile-${width}.png`) });
    await context.close();
  }
});

test("the README's picture is made by this test", { skip: process.env.UPDATE_SHOTS !== "1" && "set UPDATE_SHOTS=1 to renew it" }, async () => {
  // One service: the whole host is mostly this browser.
  const page = await open(`?from=now-15m&until=now&selector=${encodeURIComponent('{service_name="shop"}')}`);
  mkdirSync(new URL("shots/", import.meta.url), { recursive: true });
  const box = await page.locator("#graph canvas").boundingBox();
  await page.mouse.move(box.x + box.width * 0.3, box.y + 21 * 17 + 10);
  await page.waitForTimeout(300);
  await page.screenshot({ path: README_SHOT });
  assert.ok(statSync(README_SHOT).size <= 300_000, "small enough for a README");
});
