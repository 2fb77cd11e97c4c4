// @ts-check
// One question to the collector and its answer: what is asked now, what is shown meanwhile, what went wrong.

import { ask, remember, remembered } from "./api.js";

/**
 * @template T
 * @typedef {object} Slot
 * @property {string} key what is asked now
 * @property {string} shown what `data` answers
 * @property {T | null} data stays, though stale, until the new is there
 * @property {import("./api.js").ApiError | null} error
 * @property {boolean} pending
 * @property {boolean} quiet a refresh of the same view: nothing is dimmed for it
 */

/** @returns {Slot<any>} */
export function emptySlot() {
  return { key: "", shown: "", data: null, error: null, pending: false, quiet: false };
}

/** @param {Slot<any>} slot */
export function isStale(slot) {
  return slot.data !== null && slot.shown !== slot.key;
}

/** Whether something is on its way, or nothing has been asked yet. @param {Slot<any>} slot */
export function isBusy(slot) {
  return slot.pending || (slot.data === null && slot.error === null);
}

/**
 * @template T
 * @param {() => Slot<T>} get
 * @param {(slot: Slot<T>) => void} set
 * @param {(answer: any) => T} decode
 * @param {(data: T) => boolean} [isKept] whether the answer is remembered for the way back; the very large are not
 */
export function createLoader(get, set, decode, isKept = () => true) {
  let abort = new AbortController();
  /**
   * @param {string} key
   * @param {boolean} quiet
   * @param {((key: string, signal: AbortSignal) => Promise<any>) | undefined} fetchAnswer
   * @param {boolean} fresh whether a remembered answer will not do
   */
  async function load(key, quiet, fetchAnswer = ask, fresh = false) {
    abort.abort();
    abort = new AbortController();
    const known = fresh ? undefined : remembered(key);
    if (known !== undefined) return set({ key, shown: key, data: known, error: null, pending: false, quiet });
    set({ ...get(), key, pending: true, quiet, error: quiet ? get().error : null });
    try {
      const data = decode(await fetchAnswer(key, abort.signal));
      if (isKept(data)) remember(key, data);
      if (get().key === key) set({ key, shown: key, data, error: null, pending: false, quiet });
    } catch (error) {
      const failure = /** @type {any} */ (error);
      if (failure.name !== "AbortError" && get().key === key) set({ ...get(), pending: false, error: failure });
    }
  }
  return {
    /** Asks unless it is being asked or answered already. */
    want: (/** @type {string} */ key, /** @type {boolean} */ quiet, /** @type {any} */ how = undefined) => {
      if (get().key !== key) load(key, quiet, how);
    },
    again: (/** @type {any} */ how = undefined) => load(get().key, get().data !== null, how, true),
  };
}
