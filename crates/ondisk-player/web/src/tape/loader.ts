// Reads the lines of a timeline, one by one.
//
// Invariant: a line is measured before it is read, and what it says is checked before it is kept.

import { CellMap, HIGHEST, parseName, valueAt } from "./cells.ts";
import type { Span, Words } from "./cells.ts";
import { Columns } from "./columns.ts";
import { Digest } from "./digest.ts";
import { badField, behindEnd, changed, misfit, newer, noJson, noTimeline, tooLong, tooMany, truncated } from "./error.ts";

/** The version that is read. */
const VERSION = 1;
/** Bytes of a line, its end included. */
const LINE = 8_388_608;
const EVENTS = 16_777_216;
const KINDS = 256;
const CELLS = 1_048_576;
const CHANGES = 134_217_728;
/** Where our own keys may stand. */
const EVERY = 256;
/** So many characters are read before somebody may stop. */
const STRETCH = 1 << 20;

type Json = Record<string, unknown>;
type Value = { value: number; rises: boolean };

export class Loader {
  readonly columns = new Columns();
  private readonly digest = new Digest();
  private readonly encoder = new TextEncoder();
  private bytes = new Uint8Array(1 << 16);
  private from = 0;
  private line = 0;
  private ended = false;
  private changes = 0;
  /** Cells that changed since the last key line. */
  private since = 0;

  constructor(
    private readonly text: string,
    private readonly cells: CellMap,
    private readonly words: Words,
  ) {}

  /** Reads a stretch; whether there is more to read. */
  more(): boolean {
    const stop = this.from + STRETCH;
    while (this.from < stop && !this.ended) this.next();
    if (!this.ended) return true;
    if (this.from < this.text.length) throw behindEnd(this.line + 1);
    return false;
  }

  /** How much of the text is read, from 0 to 1. */
  done(): number {
    return this.from / Math.max(1, this.text.length);
  }

  private next(): void {
    this.line += 1;
    const end = this.text.indexOf("\n", this.from);
    const stop = end < 0 ? this.text.length : end;
    if (stop - this.from >= LINE) throw tooLong(this.line, LINE);
    if (end < 0) throw this.line === 1 ? this.unfinished() : truncated(this.columns.events, this.line);
    const line = this.text.slice(this.from, end);
    const bytes = this.encoded(line);
    const json = this.parsed(line);
    this.take(json);
    if (!this.ended) this.digest.addLine(bytes);
    this.from = end + 1;
  }

  /** A single line without its end: of a timeline that was cut off, or of something else. */
  private unfinished(): Error {
    return this.text.startsWith('{"ondisk":"timeline"') ? truncated(0, 1) : noTimeline();
  }

  private encoded(line: string): Uint8Array {
    const room = Math.min(line.length * 3, LINE);
    if (this.bytes.length < room) this.bytes = new Uint8Array(Math.min(room * 2, LINE));
    const { read, written } = this.encoder.encodeInto(line, this.bytes);
    if (read < line.length || written >= LINE) throw tooLong(this.line, LINE);
    return this.bytes.subarray(0, written);
  }

  private parsed(line: string): Json {
    try {
      const json: unknown = JSON.parse(line);
      if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as Json;
      if (this.line > 1) return {};
    } catch {
      if (this.line > 1) throw noJson(this.line);
    }
    throw noTimeline();
  }

  private take(json: Json): void {
    if (this.line === 1) this.header(json);
    else if (json["i"] !== undefined) this.event(json);
    else if (json["blob"] !== undefined) this.blob(json);
    else if (json["key"] !== undefined) this.key(json);
    else if (json["end"] !== undefined) this.end(json);
  }

  private header(json: Json): void {
    if (json["ondisk"] !== "timeline") throw noTimeline();
    const version = this.number(json, "v");
    if (version > VERSION) throw newer(version, VERSION);
    if (version === 0) throw badField(this.line, "v");
    this.number(json, "seed");
    this.columns.seed = String(json["seed"]);
    const config = json["config"];
    if (typeof config === "object" && config !== null) {
      const texts = Object.entries(config).filter(([, value]) => typeof value === "string");
      this.columns.config = Object.fromEntries(texts) as Record<string, string>;
    }
    this.columns.script = typeof json["script"] === "string" ? json["script"] : "";
  }

  /** A number that has to be there: written as one, or as text. */
  private number(json: Json, field: string, most = Number.MAX_VALUE): number {
    const value = json[field];
    const isDigits = typeof value === "string" && /^\d{1,20}$/.test(value);
    const number = isDigits ? Number(value) : value;
    if (typeof number !== "number" || !Number.isInteger(number) || number < 0 || number > most) {
      throw badField(this.line, field);
    }
    return number;
  }

  private orZero(json: Json, field: string, most = HIGHEST): number {
    return json[field] === undefined ? 0 : this.number(json, field, most);
  }

  private event(json: Json): void {
    const own = this.columns;
    const number = this.number(json, "i");
    const before = own.events > 0 ? own.numbers.get(own.events - 1) : -1;
    if (number <= before) throw badField(this.line, "i");
    if (own.events === EVENTS) throw tooMany(this.line, "events", EVENTS);
    if (typeof json["k"] !== "string") throw badField(this.line, "k");
    const kind = this.kind(json["k"]);
    const layer = this.orZero(json, "l", 255);
    const cause = own.place(this.orZero(json, "c", Number.MAX_VALUE));
    const times = this.number(json, "t");
    const [op, ver] = [this.orZero(json, "op"), this.orZero(json, "ver")];
    const changes = json["d"] ?? [];
    if (!Array.isArray(changes)) throw badField(this.line, "d");
    for (const change of changes) this.change(change);
    own.starts.push(this.from);
    own.numbers.push(number);
    own.times.push(times);
    own.layers.push(layer > 6 ? 0 : layer);
    own.kind.push(kind);
    own.causes.push(cause);
    own.ops.push(op);
    own.vers.push(ver);
    own.finish(this.changes);
    if (own.events % EVERY === 0) own.keep(this.cells);
  }

  private kind(name: string): number {
    const kinds = this.columns.kinds;
    const at = kinds.indexOf(name);
    if (at >= 0) return at;
    if (kinds.length === KINDS) throw tooMany(this.line, "kinds", KINDS);
    return kinds.push(name) - 1;
  }

  private change(change: unknown): void {
    const [name, before, after] = Array.isArray(change) ? (change as unknown[]) : [];
    if (typeof name !== "string" || typeof before !== "string" || typeof after !== "string") {
      throw badField(this.line, "d");
    }
    const span = parseName(name);
    if (span === null) return;
    const [old, now] = [this.words.parse(before), this.words.parse(after)];
    if (!span || !old || !now) throw badField(this.line, "d");
    if (span.count > CELLS) throw tooMany(this.line, "cells", CELLS);
    this.changes += span.count;
    this.since += span.count;
    if (this.changes > CHANGES) throw tooMany(this.line, "changes", CHANGES);
    this.apply(span, old, now);
    if (this.cells.size > CELLS) throw tooMany(this.line, "cells", CELLS);
  }

  private apply(span: Span, old: Value, now: Value): void {
    const own = this.columns;
    const group = this.cells.group(span.place, span.of);
    for (let more = 0; more < span.count; more += 1) {
      const held = this.cells.set(group, span.n + more, valueAt(now.value, now.rises, more));
      if (held !== valueAt(old.value, old.rises, more)) {
        throw misfit(this.line, `a cell of ${span.place}/${span.of}/${span.n + more}`);
      }
    }
    own.group.push(group);
    own.n.push(span.n);
    own.count.push(span.count);
    own.old.push(old.value);
    own.now.push(now.value);
    own.rises.push((old.rises ? 1 : 0) + (now.rises ? 2 : 0));
  }

  private key(json: Json): void {
    if (this.number(json, "key") !== this.columns.events) throw badField(this.line, "key");
    // One that comes sooner than its cells are worth is of no use, and would cost too much.
    if (this.since < this.cells.size) return;
    this.since = 0;
    const cells = json["cells"];
    if (typeof cells !== "object" || cells === null) throw badField(this.line, "cells");
    let count = 0;
    const seen = new Set<number>();
    for (const [name, text] of Object.entries(cells)) {
      const span = parseName(name);
      if (span === null) continue;
      const value = typeof text === "string" ? this.words.parse(text) : undefined;
      if (!span || !value) throw badField(this.line, "cells");
      count += span.count;
      if (count > this.cells.size) throw misfit(this.line, "all cells");
      const group = this.cells.group(span.place, span.of);
      for (let more = 0; more < span.count; more += 1) {
        const held = this.cells.value(group, span.n + more);
        if (held === 0 || held !== valueAt(value.value, value.rises, more)) throw misfit(this.line, name);
        seen.add(group * (HIGHEST + 1) + span.n + more);
      }
    }
    if (seen.size !== this.cells.size) throw misfit(this.line, "all cells");
  }

  private blob(json: Json): void {
    const ver = this.number(json, "blob", HIGHEST);
    const len = this.number(json, "len");
    for (const field of ["ino", "page", "at", "op", "before"]) this.orZero(json, field);
    const text = json["b64"];
    const bytes = typeof text === "string" ? bytesOf(text) : -1;
    if (bytes < 0) throw badField(this.line, "b64");
    if (bytes > len || this.columns.blobs.has(ver)) throw badField(this.line, "blob");
    this.columns.blobs.set(ver, this.from);
  }

  private end(json: Json): void {
    if (this.number(json, "end") !== this.columns.events) throw badField(this.line, "end");
    if (typeof json["digest"] !== "string") throw badField(this.line, "digest");
    if (json["digest"] !== this.digest.toString()) throw changed(this.line);
    this.ended = true;
  }
}

/** How many bytes a text in base64 holds; -1 when it is none. */
function bytesOf(text: string): number {
  if (text.length % 4 !== 0) return -1;
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const letters = text.slice(0, text.length - padding);
  return /^[A-Za-z0-9+/]*$/.test(letters) ? (text.length / 4) * 3 - padding : -1;
}
