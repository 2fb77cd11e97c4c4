// @ts-check
// Which page the address names, and the way to another without loading the document again. Draws nothing.

import { placeOf } from "./model/place.js";
import { createStore } from "./store.js";

/** @typedef {ReturnType<typeof createRouter>} Router */

export function createRouter() {
  const here = () => ({ place: placeOf(location.pathname), path: location.pathname, search: location.search });
  const store = createStore(here());
  const arrive = () => store.set(here());

  /**
   * @param {string} url within this origin
   * @param {{ replace?: boolean }} [how]
   */
  function go(url, { replace = false } = {}) {
    if (url !== `${location.pathname}${location.search}`) history[replace ? "replaceState" : "pushState"](null, "", url);
    arrive();
  }

  /** Plain clicks on links to our own pages stay in this document. @param {MouseEvent} event */
  function follow(event) {
    if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
    const href = link?.getAttribute("href") ?? "";
    if (!link || !href.startsWith("/") || link.hasAttribute("download") || link.hasAttribute("target")) return;
    const url = new URL(href, location.origin);
    if (placeOf(url.pathname).page === "home" && url.pathname !== "/") return;
    event.preventDefault();
    go(href);
    document.getElementById("app")?.querySelector("main")?.scrollTo(0, 0);
  }

  return {
    get: store.get, subscribe: store.subscribe, go,
    start() {
      addEventListener("popstate", arrive);
      document.addEventListener("click", follow);
    },
  };
}
