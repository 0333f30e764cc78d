// A timeline, read: all its events, and what every cell holds behind any of them.
//
// Invariant: nothing is believed. Every change was held against what the cells hold, every key line
// against what the changes made, the whole against its digest; what is kept is a small multiple of
// the text. The cells behind an event are the same from whichever side it is reached. The format,
// with its limits, is docs/format/timeline.md.

import { CellMap, Words, parseName, valueAt } from "./tape/cells.ts";
import type { Cells, Frame, Place } from "./tape/cells.ts";
import { Loader } from "./tape/loader.ts";
import { Columns } from "./tape/columns.ts";

export type { Cell, Cells, Place } from "./tape/cells.ts";
export { TapeError } from "./tape/error.ts";

/** One change of neighbouring cells: `count` of them from `n` on. */
export interface Change {
  place: Place;
  of: number;
  n: number;
  count: number;
  /** What the first held and holds: `D4`; empty for nothing. */
  old: string;
  now: string;
  /** Whether the versions rise by one from cell to cell. */
  oldRises: boolean;
  nowRises: boolean;
}

/** An event. Numbers of events are positions: the first is 1. */
export interface Event {
  i: number;
  /** Nanoseconds since the machine was switched on. */
  t: number;
  layer: number;
  kind: string;
  /** The event that made it happen, one before it; 0 where none did. */
  cause: number;
  /** The call on whose behalf; 0 where it is nobody's. */
  op: number;
  /** The version of a page that moved; 0 where none did. */
  ver: number;
  words: string;
  changes: Change[];
}

/** The bytes that a version brought. */
export interface Blob {
  ver: number;
  len: number;
  /** They, or the first 64 of them. */
  bytes: Uint8Array;
  ino: number;
  page: number;
  at: number;
  op: number;
  /** The version whose other bytes it kept; 0 where there was none. */
  before: number;
}

/** A timeline that was read. */
export class Tape {
  readonly seed: string;
  readonly config: Readonly<Record<string, string>>;
  readonly script: string;
  /** How many events there are. */
  readonly length: number;
  private position: number;

  constructor(
    /** The text that was read. */
    readonly text: string,
    private readonly columns: Columns,
    private readonly cells: CellMap,
    private readonly words: Words,
  ) {
    this.seed = columns.seed;
    this.config = columns.config;
    this.script = columns.script;
    this.length = columns.events;
    this.position = columns.events;
  }

  /** Event `i`, from 1 on; null where there is none. */
  event(i: number): Event | null {
    if (!this.has(i)) return null;
    const own = this.columns;
    const line = this.line(own.starts.get(i - 1)) as { m?: unknown };
    return {
      i,
      t: own.times.get(i - 1),
      layer: own.layers.get(i - 1),
      kind: this.kind(i),
      cause: own.causes.get(i - 1),
      op: own.ops.get(i - 1),
      ver: own.vers.get(i - 1),
      words: typeof line.m === "string" ? line.m : "",
      changes: this.changes(i),
    };
  }

  private has(i: number): boolean {
    return Number.isInteger(i) && i >= 1 && i <= this.length;
  }

  /** The kind of an event alone, which is much less work; empty where there is none. */
  kind(i: number): string {
    return this.has(i) ? (this.columns.kinds[this.columns.kind.get(i - 1)] ?? "") : "";
  }

  /** Its layer alone; 0 where there is none. */
  layer(i: number): number {
    return this.has(i) ? this.columns.layers.get(i - 1) : 0;
  }

  /** The call on whose behalf it happened alone; 0 where it is nobody's. */
  op(i: number): number {
    return this.has(i) ? this.columns.ops.get(i - 1) : 0;
  }

  /** What made it happen alone; 0 where nothing did. */
  cause(i: number): number {
    return this.has(i) ? this.columns.causes.get(i - 1) : 0;
  }

  /** The version that moved alone; 0 where none did. */
  ver(i: number): number {
    return this.has(i) ? this.columns.vers.get(i - 1) : 0;
  }

  /** When it happened alone. */
  time(i: number): number {
    return this.has(i) ? this.columns.times.get(i - 1) : 0;
  }

  /** What it changed alone. */
  changes(i: number): Change[] {
    const found: Change[] = [];
    const own = this.columns;
    if (!this.has(i)) return found;
    for (let run = own.firstRun(i); run < own.firstRun(i + 1); run += 1) {
      found.push({
        ...this.cells.head(own.group.get(run)),
        n: own.n.get(run),
        count: own.count.get(run),
        old: this.words.text(own.old.get(run)),
        now: this.words.text(own.now.get(run)),
        oldRises: (own.rises.get(run) & 1) !== 0,
        nowRises: (own.rises.get(run) & 2) !== 0,
      });
    }
    return found;
  }

  /** The last event up to `i`, or with 1 the first behind it, that changed a cell; 0 where there is none. */
  change(name: string, i: number, direction: 1 | -1 = -1): number {
    const span = parseName(name);
    if (!span) return 0;
    const group = this.cells.group(span.place, span.of);
    const own = this.columns;
    const start = direction === 1 ? Math.max(1, i + 1) : Math.min(i, this.length);
    for (let at = start; this.has(at); at += direction) {
      for (let run = own.firstRun(at); run < own.firstRun(at + 1); run += 1) {
        const behind = span.n - own.n.get(run);
        if (own.group.get(run) === group && behind >= 0 && behind < own.count.get(run)) return at;
      }
    }
    return 0;
  }

  /** What cells hold behind event `i`; 0 is before the first, and what is beyond the end is the end. */
  at(i: number): Cells {
    const to = Math.max(0, Math.min(this.length, Math.trunc(i) || 0));
    const own = this.columns;
    const key = own.keyBefore(to);
    const fromHere = Math.abs(own.changesBefore(to) - own.changesBefore(this.position));
    const fromKey = own.changesBefore(to) - own.changesBefore(key.after) + key.cells;
    if (fromKey < fromHere) {
      this.cells.restore(key.frame);
      this.position = key.after;
    }
    while (this.position < to) this.forward();
    while (this.position > to) this.back();
    return this.cells;
  }

  private forward(): void {
    this.position += 1;
    const own = this.columns;
    const end = own.firstRun(this.position + 1);
    for (let run = own.firstRun(this.position); run < end; run += 1) {
      this.take(run, own.now.get(run), (own.rises.get(run) & 2) !== 0);
    }
  }

  private back(): void {
    const own = this.columns;
    const first = own.firstRun(this.position);
    for (let run = own.firstRun(this.position + 1) - 1; run >= first; run -= 1) {
      this.take(run, own.old.get(run), (own.rises.get(run) & 1) !== 0);
    }
    this.position -= 1;
  }

  private take(run: number, value: number, rises: boolean): void {
    const [group, n, count] = [this.columns.group.get(run), this.columns.n.get(run), this.columns.count.get(run)];
    for (let more = 0; more < count; more += 1) this.cells.set(group, n + more, valueAt(value, rises, more));
  }

  /** The bytes that a version brought; null where the timeline does not have them. */
  blob(ver: number): Blob | null {
    const start = this.columns.blobs.get(ver);
    if (start === undefined) return null;
    const line = this.line(start) as Record<string, unknown>;
    const text = typeof line["b64"] === "string" ? line["b64"] : "";
    const number = (field: string) => Number(line[field] ?? 0);
    return {
      ver,
      len: number("len"),
      bytes: Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)),
      ino: number("ino"),
      page: number("page"),
      at: number("at"),
      op: number("op"),
      before: number("before"),
    };
  }

  private line(start: number): unknown {
    return JSON.parse(this.text.slice(start, this.text.indexOf("\n", start)));
  }
}

/** Where a seek can begin. */
export interface Key {
  after: number;
  cells: number;
  frame: Frame;
}

/** Reads a timeline; stops now and then and says how far it is, from 0 to 1. Throws a `TapeError`. */
export function* readingTape(text: string): Generator<number, Tape> {
  const words = new Words();
  const cells = new CellMap(words);
  const loader = new Loader(text, cells, words);
  while (loader.more()) yield loader.done();
  return new Tape(text, loader.columns, cells, words);
}

/** Reads a timeline at once. Throws a `TapeError`. */
export function readTape(text: string): Tape {
  const reading = readingTape(text);
  for (;;) {
    const step = reading.next();
    if (step.done) return step.value;
  }
}

/** One without events. */
export function emptyTape(): Tape {
  const words = new Words();
  return new Tape("", new Columns(), new CellMap(words), words);
}
