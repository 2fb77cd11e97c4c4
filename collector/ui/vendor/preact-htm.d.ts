// The part of preact and htm that Sonde's views use, as types for `tsc --checkJs`.

export type Rendered = unknown;
export type Ref<T> = { current: T };
type Deps = readonly unknown[];

export function html(strings: TemplateStringsArray, ...values: unknown[]): Rendered;
export function h(type: unknown, props: object | null, ...children: unknown[]): Rendered;
export function render(tree: Rendered, parent: Element): void;
export function useState<T>(first: T | (() => T)): [T, (next: T | ((now: T) => T)) => void];
export function useEffect(run: () => void | (() => void), deps?: Deps): void;
export function useLayoutEffect(run: () => void | (() => void), deps?: Deps): void;
export function useMemo<T>(make: () => T, deps: Deps): T;
export function useCallback<T>(call: T, deps: Deps): T;
export function useRef<T>(first: T): Ref<T>;
