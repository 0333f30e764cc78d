// Band 6: the drive. Its volatile cache above, erase blocks of flash below, and between them the
// line that a power cut draws.
import type { Cell } from "../../tape.ts";
import { el, reconcile, say, set, svg } from "../dom.ts";
import { blocks, label, tally } from "./blocks.ts";
import { fsOf, spans, touched, type Scene } from "./scene.ts";
import { count, figures } from "./words.ts";

/** Blocks of the cache that are drawn apart; erase blocks that are drawn; their pages. */
const APART = 18;
const DRAWN = 4;
const PAGES = 64;
const ACROSS = 16;

const NAND: [string, string][] = [
  ["M", "in use"],
  ["P", "programmed, not named yet"],
  ["S", "stale"],
  ["T", "of the saved map"],
];

/** What the drive's cache is worth, by the word of the option. */
const CACHES: Record<string, string> = {
  volatile: "volatile",
  capacitor: "capacitors keep it through a cut",
  none: "none: what is taken is programmed at once",
  lies: "volatile, and a FLUSH is answered but not obeyed",
};

/** File systems without a drive of their own: what is said of cache and flash. */
const OTHERS: Record<string, [cache: string, flash: string]> = {
  tmpfs: ["not used by tmpfs", "not used by tmpfs"],
  nfs: ["the server’s memory", "the server’s disk"],
};

/** Draws the cache; says what it holds. */
export function drawCache(body: HTMLElement, scene: Scene): string {
  const kind = scene.run.tape.config["drive"] ?? scene.run.knobs.drive;
  const all = scene.cells.in("lba").filter((cell) => cell.state === "V" || kind === "capacitor");
  blocks(cellsOf(body), scene, spans(scene, all, APART), "block");
  const told = OTHERS[fsOf(scene)]?.[0] ?? CACHES[kind] ?? kind;
  return all.length === 0 ? told : `${told}; ${count(all.length, "block")}`;
}

/** Draws the flash; says what it holds. */
export function drawFlash(body: HTMLElement, scene: Scene): string {
  const all = scene.cells.in("nand");
  const groups = new Map<number, Cell[]>();
  for (const cell of all) {
    const group = groups.get(cell.of);
    if (group === undefined) groups.set(cell.of, [cell]);
    else group.push(cell);
  }
  const found = [...groups].map(([of, cells]) => ({ of, cells }));
  const shown = latest(scene, found);
  reconcile(flashOf(body), shown, (group) => group.of, erase, (element, group) => {
    update(element, scene, group);
  });
  const hidden = found.length - shown.length;
  const told = tally(all, NAND);
  if (told === "") return OTHERS[fsOf(scene)]?.[1] ?? "nothing new";
  return `${told}${hidden > 0 ? `; ${figures(hidden)} more erase blocks` : ""}`;
}

/** The erase blocks that matter: where something moved last, and those with the highest numbers. */
function latest(scene: Scene, groups: { of: number; cells: Cell[] }[]): { of: number; cells: Cell[] }[] {
  const moved = scene.event?.changes.find((change) => change.place === "nand")?.of;
  const first = groups.filter((group) => group.of === moved);
  const rest = groups.filter((group) => group.of !== moved).slice(-(DRAWN - first.length));
  return [...first, ...rest].sort((a, b) => a.of - b.of);
}

function erase(group: { of: number }): HTMLElement {
  const pages: SVGElement[] = [];
  for (let n = 0; n < PAGES; n += 1) {
    const [x, y] = [(n % ACROSS) * 8.5 + 0.5, Math.floor(n / ACROSS) * 9 + 0.5];
    pages.push(svg("rect", { x, y, width: 7, height: 7.5, class: "page-off" }));
  }
  return el(
    "button",
    { type: "button", class: "erase", "data-cell": `nand/${group.of}/0` },
    svg("svg", { viewBox: "0 0 136 36", "aria-hidden": "true" }, ...pages),
    el("span"),
  );
}

function update(element: HTMLElement, scene: Scene, group: { of: number; cells: Cell[] }): void {
  const states = new Map(group.cells.map((cell) => [cell.n, cell]));
  element.querySelectorAll("rect").forEach((page, n) => {
    const cell = states.get(n);
    const kind = cell === undefined ? "off" : cell.state.toLowerCase();
    const fresh = cell !== undefined && touched(scene, cell) ? " page-new" : "";
    set(page, "class", `page-${kind}${fresh}`);
  });
  const told = tally(group.cells, NAND);
  const last = group.cells[group.cells.length - 1];
  if (last !== undefined) set(element, "data-cell", last.name);
  const words = element.lastElementChild;
  if (words !== null) say(words, `erase block ${group.of}`);
  label(element, `erase block ${group.of}: ${told}`);
}

const cached = new WeakMap<HTMLElement, HTMLElement>();

function cellsOf(body: HTMLElement): HTMLElement {
  return kept(body, "cells");
}

function flashOf(body: HTMLElement): HTMLElement {
  return kept(body, "flash");
}

function kept(body: HTMLElement, name: string): HTMLElement {
  let element = cached.get(body);
  if (element === undefined) {
    element = el("div", { class: name });
    body.append(element);
    cached.set(body, element);
  }
  return element;
}
