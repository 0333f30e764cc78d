// The events of a timeline in columns: a few numbers each, and where their lines begin.
//
// Invariant: event `i` has its numbers at place `i - 1` of each column, and its changes are the
// runs from `firstRun(i)` up to `firstRun(i + 1)`.

import type { CellMap } from "./cells.ts";
import type { Key } from "../tape.ts";

type Numbers = Uint8Array | Uint16Array | Uint32Array | Float64Array;

/** Numbers that grow in number. */
export class Column<A extends Numbers> {
  length = 0;

  constructor(
    private data: A,
    private readonly make: (length: number) => A,
  ) {}

  push(value: number): void {
    if (this.length === this.data.length) {
      const grown = this.make(this.length * 2);
      grown.set(this.data);
      this.data = grown;
    }
    this.data[this.length] = value;
    this.length += 1;
  }

  get(at: number): number {
    return this.data[at] ?? 0;
  }
}

const u8 = () => new Column(new Uint8Array(256), (length) => new Uint8Array(length));
const u32 = () => new Column(new Uint32Array(256), (length) => new Uint32Array(length));
const f64 = () => new Column(new Float64Array(256), (length) => new Float64Array(length));

/** All keys together hold at most so many cells: the text of a timeline can be much shorter than they. */
const KEY_CELLS = 1 << 23;

export class Columns {
  seed = "";
  config: Record<string, string> = {};
  script = "";

  /** Where the line begins in the text. */
  readonly starts = u32();
  readonly numbers = f64();
  readonly times = f64();
  readonly layers = u8();
  readonly kind = u8();
  readonly causes = u32();
  readonly ops = u32();
  readonly vers = u32();
  private readonly runsEnd = u32();
  private readonly changesEnd = u32();
  readonly kinds: string[] = [];

  readonly group = u32();
  readonly n = u32();
  readonly count = u32();
  readonly old = f64();
  readonly now = f64();
  /** 1: the old versions rise; 2: the new ones. */
  readonly rises = u8();

  /** Where the line of a version begins. */
  readonly blobs = new Map<number, number>();
  private readonly keys: Key[] = [{ after: 0, cells: 0, frame: [] }];
  private keyCells = 0;

  get events(): number {
    return this.starts.length;
  }

  /** The event is told whole: `changes` cells changed since the beginning. */
  finish(changes: number): void {
    this.runsEnd.push(this.group.length);
    this.changesEnd.push(changes);
  }

  firstRun(i: number): number {
    return i <= 1 ? 0 : this.runsEnd.get(i - 2);
  }

  /** How many cells the first `i` events changed. */
  changesBefore(i: number): number {
    return i === 0 ? 0 : this.changesEnd.get(i - 1);
  }

  /** Keeps what cells hold, where that is worth it; as rarely as a writer of timelines does. */
  keep(cells: CellMap): void {
    const last = this.keys[this.keys.length - 1];
    const since = this.changesBefore(this.events) - this.changesBefore(last?.after ?? 0);
    if (since < cells.size || this.keyCells + cells.size > KEY_CELLS) return;
    this.keyCells += cells.size;
    this.keys.push({ after: this.events, cells: cells.size, frame: cells.frame() });
  }

  /** The last key that is not behind event `i`. */
  keyBefore(i: number): Key {
    let [low, high] = [0, this.keys.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.keys[middle]?.after ?? 0) <= i) low = middle;
      else high = middle - 1;
    }
    return this.keys[low] ?? { after: 0, cells: 0, frame: [] };
  }

  /** The place of the event with a number, from 1 on; 0 where there is none. */
  place(number: number): number {
    let [low, high] = [0, this.events - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      const own = this.numbers.get(middle);
      if (own === number) return middle + 1;
      if (own < number) low = middle + 1;
      else high = middle - 1;
    }
    return 0;
  }
}
