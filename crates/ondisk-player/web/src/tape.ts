// A timeline, read: all its events, and what every cell holds behind any of them.
export type Place = "buf" | "page" | "jbd" | "q" | "lba" | "nand";

/** A named place and what it holds. `of` is the inode or erase block, 0 where one number is enough. */
export interface Cell {
  name: string;
  place: Place;
  of: number;
  n: number;
  /** The word: `D`, `running`, …; empty where there is nothing. */
  state: string;
  /** The version, or a number of bytes in a buffer; 0 where it says nothing. */
  ver: number;
}

/** One change of neighbouring cells: `count` of them from `n` on. */
export interface Change {
  place: Place;
  of: number;
  n: number;
  count: number;
  /** What the first held and holds: `D4`; with `+` where versions rise from cell to cell. */
  old: string;
  now: string;
}

/** An event. Numbers of events are positions: the first is 1. */
export interface Event {
  i: number;
  /** Nanoseconds. */
  t: number;
  layer: number;
  kind: string;
  /** The event that made it happen; 0 where none did. */
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

/** What all cells hold at one moment. Good until `Tape.at` is called again. */
export interface Cells {
  get(name: string): Cell | null;
  /** Those of a place that hold something, by their numbers; of one inode or erase block alone with `of`. */
  in(place: Place, of?: number): Cell[];
  /** How many hold something. */
  readonly size: number;
}

/** A timeline that was read. */
export interface Tape {
  readonly seed: string;
  readonly config: Readonly<Record<string, string>>;
  readonly script: string;
  /** How many events there are. */
  readonly length: number;
  /** The text that was read. */
  readonly text: string;
  /** Event `i`, from 1 on; null where there is none. */
  event(i: number): Event | null;
  /** Its kind and layer alone, which is much less work; empty and 0 where there is none. */
  kind(i: number): string;
  layer(i: number): number;
  /** What cells hold behind event `i`; 0 is before the first. */
  at(i: number): Cells;
  blob(ver: number): Blob | null;
}
