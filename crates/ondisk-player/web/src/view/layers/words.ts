// Numbers and states in words.
//
// Invariant: a number comes with its unit, and a state of a cell has one name on the whole page.
import type { Death, Lost } from "../../types.ts";
import type { Place } from "../../tape.ts";

/** A look of bytes; see style/main.css. */
export type Look = "dirty" | "flight" | "clean" | "held" | "durable" | "failed" | "stale";

const LOOKS: Record<string, [Look, string]> = {
  "buf/B": ["dirty", "held in the process"],
  "page/D": ["dirty", "dirty"],
  "page/W": ["flight", "being written"],
  "page/C": ["clean", "clean"],
  "page/E": ["failed", "clean, though it could not be written"],
  "q/P": ["stale", "in the plug"],
  "q/Q": ["stale", "in the scheduler"],
  "q/D": ["flight", "with the drive"],
  "q/F": ["flight", "a FLUSH, with the drive"],
  "lba/V": ["held", "in the volatile cache"],
  "lba/S": ["durable", "survives a power cut"],
  "nand/P": ["flight", "programmed, and not named by the map yet"],
  "nand/M": ["durable", "programmed, and named by the map"],
  "nand/S": ["stale", "stale"],
  "nand/T": ["clean", "a part of the saved map"],
};

/** What a layer does with an event, in the fewest words. */
const DOES: Record<string, string> = {
  Call: "a call comes in",
  Ret: "a call returns",
  Buffered: "takes bytes",
  Spilled: "hands bytes on",
  Lookup: "looks a name up",
  Errno: "brings back an error",
  Fault: "fails, as planned",
  Dirtied: "takes new bytes",
  Throttled: "lets the writer wait",
  WbStart: "starts writing back",
  WbDone: "has written back",
  WbError: "could not write back",
  Reserved: "promises room",
  Allocated: "allocates",
  Converted: "converts extents",
  Handle: "journals a change",
  TxnState: "moves on",
  JWrite: "writes the journal",
  Revoked: "revokes a block",
  Checkpointed: "brings a block home",
  TailMoved: "frees journal space",
  Bio: "takes a bio",
  Plugged: "holds it in the plug",
  Merged: "merges neighbours",
  Queued: "queues it",
  Dispatched: "gives it to the drive",
  RqDone: "has an answer",
  FlushStart: "sends FLUSH",
  FlushDone: "FLUSH is done",
  CacheIn: "caches a block",
  Programmed: "programs a page",
  Mapped: "maps a page",
  GcCopy: "collects garbage",
  Erased: "erases a block",
  WearMove: "levels wear",
  MapSaved: "saves its map",
  Settled: "settles a block",
  Mounted: "mounts",
  Replayed: "replays the journal",
  OrphanFreed: "frees an orphan",
  Asked: "asks the server",
  Answered: "has an answer",
};

/** What a layer does with an event of a kind. */
export function doing(kind: string): string {
  return DOES[kind] ?? kind;
}

/** How a cell looks. */
export function look(place: Place, state: string): Look {
  return LOOKS[`${place}/${state}`]?.[0] ?? "clean";
}

/** The state of a cell in words. */
export function stated(place: Place, state: string): string {
  return LOOKS[`${place}/${state}`]?.[1] ?? state;
}

/** How surely something is lost. */
export const FATES: Record<Lost, string> = {
  never: "never lost",
  sometimes: "may be lost",
  always: "always lost",
};

/** `a cut`, `a crash`, `a kill`. */
export function aDeath(how: Death): string {
  return `a ${how}`;
}

/** `1 page`, `1,672 pages`. */
export function count(n: number, what: string): string {
  return `${figures(n)} ${what}${n === 1 ? "" : "s"}`;
}

/** A whole number, with a comma between thousands. */
export function figures(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** A time since the machine was switched on, to three figures. */
export function clock(ns: number): string {
  const units: [number, string][] = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]];
  for (const [size, name] of units) {
    if (ns >= size) return `${three(ns / size)} ${name}`;
  }
  return `${ns} ns`;
}

function three(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** A list with how many more there are. */
export function shortened(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
