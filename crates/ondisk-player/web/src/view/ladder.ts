// Not there yet.
import type { App } from "../app.ts";

export function mount(_root: HTMLElement, _app: App): void {}
