// What cells hold, and how runs of them are written.
//
// Invariant: a cell that holds nothing takes no room. A value is a number: the word's number times
// 2^32, and the version; 0 is nothing.

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

/** What all cells hold at one moment. Good until `Tape.at` is called again. */
export interface Cells {
  get(name: string): Cell | null;
  /** Those of a place that hold something, by their numbers; of one inode or erase block alone with `of`. */
  in(place: Place, of?: number): Cell[];
  /** How many hold something. */
  readonly size: number;
}

/** In the order in which a timeline has them. */
export const PLACES: readonly Place[] = ["buf", "page", "jbd", "q", "lba", "nand"];

/** The highest number of a cell, an inode, a version. */
export const HIGHEST = 0xffff_ffff;

const HALF = 0x1_0000_0000;
/** So many words keep a value within 53 bits. */
const WORDS = 0x1_0000;

const NAME = /^(?:(buf|jbd|q|lba)|(page|nand)\/(\d+))\/(\d+)(?:-(\d+))?$/;
const VALUE = /^([A-Za-z]{0,8})(\d*)(\+?)$/;

/** A run of cells, as it is written. */
export interface Span {
  place: Place;
  of: number;
  n: number;
  count: number;
}

/** Reads a name of cells; null for a place that is not known, undefined for what is no name. */
export function parseName(text: string): Span | null | undefined {
  const found = NAME.exec(text);
  if (!found) {
    const cut = text.indexOf("/");
    return cut < 0 || PLACES.includes(text.slice(0, cut) as Place) ? undefined : null;
  }
  const of = Number(found[3] ?? 0);
  const n = Number(found[4]);
  const last = Number(found[5] ?? n);
  if (of > HIGHEST || last > HIGHEST || last < n) return undefined;
  return { place: (found[1] ?? found[2]) as Place, of, n, count: last - n + 1 };
}

/** The words of values, each once. */
export class Words {
  private readonly all = [""];
  private readonly numbers = new Map([["", 0]]);

  number(word: string): number | undefined {
    const known = this.numbers.get(word);
    if (known !== undefined || this.all.length === WORDS) return known;
    this.numbers.set(word, this.all.length);
    return this.all.push(word) - 1;
  }

  /** Reads a value; undefined for what is none. */
  parse(text: string): { value: number; rises: boolean } | undefined {
    const found = VALUE.exec(text);
    if (!found) return undefined;
    const word = found[1] ?? "";
    const ver = Number(found[2] || 0);
    const rises = found[3] === "+";
    const number = this.number(word);
    const noVersion = (found[2] !== "" || rises) && (ver === 0 || word === "");
    if (noVersion || ver > HIGHEST || number === undefined) return undefined;
    return { value: number * HALF + ver, rises };
  }

  word(value: number): string {
    return this.all[Math.floor(value / HALF)] ?? "";
  }

  text(value: number): string {
    const ver = verOf(value);
    return this.word(value) + (ver > 0 ? String(ver) : "");
  }
}

export function verOf(value: number): number {
  return value % HALF;
}

/** The value `n` cells behind the first of a run. */
export function valueAt(first: number, rises: boolean, n: number): number {
  return rises ? first - verOf(first) + Math.min(verOf(first) + n, HIGHEST) : first;
}

/** All cells that hold something at a key. */
export type Frame = { group: number; ns: Uint32Array; values: Float64Array }[];

/** The cells of all groups; a group is a place, and the inode or erase block where there is one. */
export class CellMap implements Cells {
  private readonly groups: Map<number, number>[] = [];
  private readonly heads: { place: Place; of: number }[] = [];
  private readonly ids = new Map<string, number>();
  private readonly ordered = new Map<Place, number[]>();
  private readonly sorted: (Uint32Array | null)[] = [];
  private count = 0;

  constructor(private readonly words: Words) {}

  get size(): number {
    return this.count;
  }

  /** The number of a group; it is made where it is not there. */
  group(place: Place, of: number): number {
    const name = `${place}/${of}`;
    const known = this.ids.get(name);
    if (known !== undefined) return known;
    const id = this.groups.push(new Map()) - 1;
    this.heads.push({ place, of });
    this.sorted.push(null);
    this.ids.set(name, id);
    this.ordered.delete(place);
    return id;
  }

  head(group: number): { place: Place; of: number } {
    return this.heads[group] ?? { place: "buf", of: 0 };
  }

  /** Puts a value in a cell; what it held. */
  set(group: number, n: number, value: number): number {
    const cells = this.groups[group];
    if (!cells) return 0;
    const old = cells.get(n) ?? 0;
    if (value !== 0) cells.set(n, value);
    else cells.delete(n);
    if ((old === 0) !== (value === 0)) {
      this.sorted[group] = null;
      this.count += value === 0 ? -1 : 1;
    }
    return old;
  }

  value(group: number, n: number): number {
    return this.groups[group]?.get(n) ?? 0;
  }

  frame(): Frame {
    const frame: Frame = [];
    this.groups.forEach((cells, group) => {
      if (cells.size === 0) return;
      frame.push({ group, ns: Uint32Array.from(cells.keys()), values: Float64Array.from(cells.values()) });
    });
    return frame;
  }

  /** Forgets all, and holds what a frame says. */
  restore(frame: Frame): void {
    for (const cells of this.groups) if (cells.size > 0) cells.clear();
    this.sorted.fill(null);
    this.count = 0;
    for (const { group, ns, values } of frame) {
      const cells = this.groups[group];
      if (!cells) continue;
      ns.forEach((n, at) => cells.set(n, values[at] ?? 0));
      this.count += cells.size;
    }
  }

  get(name: string): Cell | null {
    const span = parseName(name);
    if (!span) return null;
    const id = this.ids.get(`${span.place}/${span.of}`);
    const value = id === undefined ? 0 : this.value(id, span.n);
    return value === 0 ? null : this.cell(span.place, span.of, span.n, value);
  }

  in(place: Place, of?: number): Cell[] {
    const found: Cell[] = [];
    for (const group of this.inOrder(place)) {
      const cells = this.groups[group];
      const own = this.head(group).of;
      if (!cells || cells.size === 0 || (of !== undefined && of !== own)) continue;
      const ns = (this.sorted[group] ??= Uint32Array.from(cells.keys()).sort());
      for (const n of ns) found.push(this.cell(place, own, n, cells.get(n) ?? 0));
    }
    return found;
  }

  private inOrder(place: Place): number[] {
    let order = this.ordered.get(place);
    if (!order) {
      order = [];
      this.heads.forEach((head, id) => head.place === place && order?.push(id));
      order.sort((a, b) => this.head(a).of - this.head(b).of);
      this.ordered.set(place, order);
    }
    return order;
  }

  private cell(place: Place, of: number, n: number, value: number): Cell {
    return { name: nameOf(place, of, n), place, of, n, state: this.words.word(value), ver: verOf(value) };
  }
}

/** The name of one cell. */
export function nameOf(place: Place, of: number, n: number): string {
  return place === "page" || place === "nand" ? `${place}/${of}/${n}` : `${place}/${n}`;
}
