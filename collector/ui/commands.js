// @ts-check
// Things a key or a button asks of whichever view can do them.

/** @typedef {"find" | "jump" | "next-match" | "previous-match" | "zoom-in" | "zoom-out" | "reset-zoom" | "help" | "graph" | "open-all" | "close-all"} Command */

/** @type {Map<Command, () => void>} */
const handlers = new Map();

/**
 * @param {Command} command
 * @param {() => void} handler
 * @returns {() => void} takes the handler away again
 */
export function onCommand(command, handler) {
  handlers.set(command, handler);
  return () => { if (handlers.get(command) === handler) handlers.delete(command); };
}

/** @param {Command} command */
export function run(command) {
  handlers.get(command)?.();
}
