// What the bands are drawn from: the cells of one moment, and what a death takes of them.
//
// Invariant: a function of the run and the moment alone. At a death of the script's own the cells
// are those before it, so that what it took can be seen; they are marked as taken.
import type { App, Run } from "../../app.ts";
import type { Cell, Cells, Event, Place } from "../../tape.ts";
import type { Death, Fate, Lost, Rung } from "../../types.ts";

/** One moment of a run. */
export interface Scene {
  run: Run;
  at: number;
  /** The event that was last; null before the first. */
  event: Event | null;
  /** Nanoseconds since the machine was switched on. */
  t: number;
  cells: Cells;
  /** The death that is looked at, and whether the script itself brought it. */
  death: { how: Death; own: boolean } | null;
  /** What a record comes to in that death, by its number. */
  fates: Map<number, Fate>;
  /** The model that was asked about them; empty where none was. */
  model: string;
}

/** Neighbouring cells that are all the same to the eye. */
export interface Span {
  name: string;
  place: Place;
  of: number;
  first: number;
  last: number;
  state: string;
  lost: boolean;
  now: boolean;
}

/** The rungs, from the program down. */
export const RUNGS: readonly Rung[] = ["buffered", "cached", "device", "durable"];

const OWN: Record<string, Death> = { Cut: "cut", Crash: "crash", Kill: "kill" };

/** What is seen at the present moment; null without a run. While a prediction is `asked` for, no death is. */
export function scene(app: App, asked = false): Scene | null {
  const { run, moment } = app.state;
  if (run === null) return null;
  const at = Math.min(moment.at, run.tape.length);
  const event = run.tape.event(at);
  const own = event === null ? undefined : OWN[event.kind];
  const death =
    own !== undefined
      ? { how: own, own: true }
      : moment.death === null || asked
        ? null
        : { how: moment.death, own: false };
  const judged = death === null || death.own ? null : app.judge(death.how);
  return {
    run,
    at,
    event,
    t: event?.t ?? 0,
    cells: run.tape.at(own === undefined ? at : at - 1),
    death,
    model: judged?.model ?? "",
    fates: new Map((judged?.records ?? []).map((fate) => [fate.n, fate])),
  };
}

/** The file system of a run. */
export function fsOf(scene: Scene): string {
  return scene.run.tape.config["fs"] ?? scene.run.knobs.fs;
}

/** Whether the death that is looked at empties a cell. */
export function takes(scene: Scene, cell: { place: Place; of: number; n: number; state: string }) {
  if (scene.death === null) return false;
  if (scene.death.own && scene.death.how === "kill") return touched(scene, cell);
  switch (cell.place) {
    case "buf":
      return true;
    case "page":
    case "jbd":
    case "q":
      return scene.death.how !== "kill";
    case "lba":
      return scene.death.how === "cut" && cell.state === "V";
    case "nand":
      return false;
  }
}

/** Whether the last event changed a cell. */
export function touched(scene: Scene, cell: { place: Place; of: number; n: number }): boolean {
  const changes = scene.event?.changes ?? [];
  return changes.some(
    (change) =>
      change.place === cell.place &&
      change.of === cell.of &&
      cell.n >= change.n &&
      cell.n < change.n + change.count,
  );
}

/** Cells as spans. So few cells that each can be drawn are left apart. */
export function spans(scene: Scene, cells: readonly Cell[], apart: number): Span[] {
  const joined: Span[] = [];
  const alone = cells.length <= apart;
  for (const cell of cells) {
    const { name, place, of, n, state } = cell;
    const lost = takes(scene, cell);
    const now = scene.event !== null && !scene.death?.own && touched(scene, cell);
    const before = joined[joined.length - 1];
    if (
      !alone &&
      before !== undefined &&
      before.of === of &&
      before.last + 1 === n &&
      before.state === state &&
      before.lost === lost &&
      before.now === now
    ) {
      before.last = n;
    } else {
      joined.push({ name, place, of, first: n, last: n, state, lost, now });
    }
  }
  return joined;
}

/** On which rung each record is: those that the program has come to. */
export function rungs(scene: { run: Run; at: number }): Map<number, Rung> {
  const known = new Map<number, Rung>();
  for (const [event, record, rung] of scene.run.info.ladder) {
    if (event > scene.at) break;
    known.set(record, rung);
  }
  return known;
}

/** How surely a death takes a record: as the machine says, or else by its rung. */
export function lost(scene: Scene, record: number, rung: Rung): Lost | null {
  if (scene.death === null || rung === "gone") return null;
  const fate = scene.fates.get(record);
  if (fate !== undefined) return fate.machine;
  const survives = { kill: 1, crash: 2, cut: 3 }[scene.death.how];
  return RUNGS.indexOf(rung) >= survives ? "never" : "always";
}
