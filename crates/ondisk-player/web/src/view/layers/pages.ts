// Band 3: the page cache, a row for each file: its pages, and how long the oldest dirty one waits.
import type { Run } from "../../app.ts";
import type { Cell } from "../../tape.ts";
import { reconcile, say, set } from "../dom.ts";
import { blocks, row, tally } from "./blocks.ts";
import { spans, type Scene } from "./scene.ts";
import { clock, figures } from "./words.ts";

const STATES: [string, string][] = [["D", "dirty"], ["W", "being written"], ["C", "clean"], ["E", "failed"]];
/** So many files get a row, and so many pages of one are drawn apart. */
const FILES = 8;
const APART = 16;

/** Draws the files that have pages; says how many pages are in which state. */
export function draw(body: HTMLElement, scene: Scene): string {
  const all = scene.cells.in("page");
  const files = grouped(all);
  reconcile(body, files.slice(0, FILES), (file) => file.ino, () => row(), (element, file) => {
    const name = element.querySelector(".row-name");
    const called = scene.run.names.inode(file.ino, scene.at);
    if (name !== null) say(name, called);
    if (name !== null) set(name, "title", called);
    const cells = element.querySelector<HTMLElement>(".cells");
    const note = element.querySelector(".row-note");
    if (cells !== null) blocks(cells, scene, spans(scene, file.cells, APART), "page");
    if (note !== null) say(note, noted(scene, file.cells));
  });
  const told = tally(all, STATES);
  const hidden = files.length - FILES;
  if (told === "") return "empty";
  return hidden > 0 ? `${told}; ${figures(hidden)} more files` : told;
}

function grouped(cells: readonly Cell[]): { ino: number; cells: Cell[] }[] {
  const files: { ino: number; cells: Cell[] }[] = [];
  for (const cell of cells) {
    const last = files[files.length - 1];
    if (last !== undefined && last.ino === cell.of) last.cells.push(cell);
    else files.push({ ino: cell.of, cells: [cell] });
  }
  return files;
}

function noted(scene: Scene, cells: readonly Cell[]): string {
  const told = tally(cells, STATES);
  let oldest = 0;
  for (const cell of cells) {
    if (cell.state === "D" && cell.ver !== 0 && (oldest === 0 || cell.ver < oldest)) oldest = cell.ver;
  }
  const since = oldest === 0 ? null : dirtySince(scene.run, oldest);
  const age = since === null ? 0 : scene.t - since;
  return age > 0 ? `${told}, for ${clock(age)}` : told;
}

const dirtied = new WeakMap<Run, { events: number[]; since: Map<number, number> }>();

/** Since when a page with a dirty version has been dirty; null where that was not found. */
function dirtySince(run: Run, ver: number): number | null {
  let index = dirtied.get(run);
  if (index === undefined) {
    const events: number[] = [];
    for (let i = 1; i <= run.tape.length; i += 1) if (run.tape.kind(i) === "Dirtied") events.push(i);
    index = { events, since: new Map() };
    dirtied.set(run, index);
  }
  return since(run, index, ver, 64);
}

function since(
  run: Run,
  index: { events: number[]; since: Map<number, number> },
  ver: number,
  hops: number,
): number | null {
  const kept = index.since.get(ver);
  if (kept !== undefined) return kept;
  const event = found(run, index.events, ver);
  if (event === 0) return null;
  const before = run.tape.changes(event).map((change) => /^D(\d+)/.exec(change.old)?.[1]).find(Boolean);
  const first = before === undefined || hops === 0 ? null : since(run, index, Number(before), hops - 1);
  const time = first ?? run.tape.time(event);
  index.since.set(ver, time);
  return time;
}

/** The event that brought a version, 0 where none is found; versions rise from event to event. */
function found(run: Run, events: readonly number[], ver: number): number {
  let [low, high] = [0, events.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (run.tape.ver(events[middle] ?? 0) < ver) low = middle + 1;
    else high = middle;
  }
  const event = events[low] ?? 0;
  return run.tape.ver(event) === ver ? event : 0;
}
