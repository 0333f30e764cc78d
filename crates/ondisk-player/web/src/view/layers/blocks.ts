// Blocks and records: the buttons that stand for bytes.
//
// Invariant: each names its cell (`data-cell`) and says its state in words; at most `MOST` of a row
// are drawn, and the row says how many are not.
import { el, reconcile, say, set } from "../dom.ts";
import type { Scene, Span } from "./scene.ts";
import { figures, look, stated } from "./words.ts";

/** So many blocks of one row are drawn. */
export const MOST = 24;

/** Draws cells of one row: each alone, in runs, or the first runs and a count. */
export function blocks(row: HTMLElement, scene: Scene, cells: Span[], unit: string): void {
  const shown = cells.length <= MOST ? cells : cells.slice(0, MOST - 1);
  const hidden = cells.slice(shown.length);
  reconcile(row, shown, (span) => span.name, block, (button, span) => {
    update(button, scene, span, unit);
  });
  set(row, "data-more", hidden.length === 0 ? null : `and ${more(hidden, unit)}`);
}

function more(hidden: Span[], unit: string): string {
  const all = hidden.reduce((sum, span) => sum + span.last - span.first + 1, 0);
  return `${figures(all)} more ${unit}${all === 1 ? "" : "s"}`;
}

function block(span: Span): HTMLButtonElement {
  return el("button", { type: "button", class: "block bytes", "data-cell": span.name }, el("span"));
}

function update(button: HTMLButtonElement, scene: Scene, span: Span, unit: string): void {
  const many = span.last > span.first;
  set(button, "data-state", look(span.place, span.state));
  set(button, "data-lost", span.lost ? "always" : null);
  set(button, "data-now", span.now);
  const named = button.firstElementChild;
  if (named !== null) say(named, many ? `${span.first}–${span.last}` : String(span.first));
  const wide = many ? Math.min(12, 3 + Math.log2(span.last - span.first + 1)) : 0;
  set(button, "style", many ? `min-width: ${wide.toFixed(1)}rem` : null);
  const who = many
    ? `${unit}s ${span.first}–${span.last} (${figures(span.last - span.first + 1)})`
    : scene.run.names.cell(span.name);
  label(button, `${who}: ${stated(span.place, span.state)}${taken(scene, span.lost)}`);
}

/** `, taken by this cut`. */
export function taken(scene: Scene, lost: boolean): string {
  return lost && scene.death !== null ? `, taken by this ${scene.death.how}` : "";
}

/** Gives a button its name, which is shown when one points at it too. */
export function label(button: Element, words: string): void {
  set(button, "aria-label", words);
  set(button, "title", words);
}

/** How many cells there are of each state, in the order given: `3 dirty, 1 clean`. */
export function tally(cells: Iterable<{ state: string }>, states: [string, string][]): string {
  const counts = new Map<string, number>();
  for (const { state } of cells) counts.set(state, (counts.get(state) ?? 0) + 1);
  const told = states.flatMap(([state, name]) => {
    const n = counts.get(state);
    return n === undefined ? [] : [`${figures(n)} ${name}`];
  });
  return told.join(", ");
}

/** A row, empty: what it is called, its blocks, and a note behind them. */
export function row(): HTMLElement {
  return el(
    "div",
    { class: "row" },
    el("span", { class: "row-name" }),
    el("div", { class: "row-cells" }, el("div", { class: "cells" }), el("span", { class: "row-note" })),
  );
}
