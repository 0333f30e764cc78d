// How the page comes to be: what it was given, where it begins, and every view on its place.

import type { App } from "./app.ts";

type Mount = (root: HTMLElement, app: App) => void;

export function boot(_views: Record<string, Mount>): void {}
