// Why something is as it is: who wrote a version, what led to an event, what made it durable.
//
// Invariant: every answer follows causes and versions that the timeline has, and nothing else.

import type { Names } from "./names.ts";
import type { Blob, Cell, Tape } from "./tape.ts";

/** A call that brought bytes of a version. */
export interface Writer {
  ver: number;
  /** The event of the call; 0 where the timeline does not have it. */
  call: number;
  /** `write(log, …, 9)`. */
  words: string;
  /** The bytes of the page that it brought. */
  from: number;
  to: number;
  /** Null where the version came without bytes. */
  blob: Blob | null;
}

/** Why a cell holds what it holds. */
export interface Why {
  cell: string;
  holds: Cell | null;
  /** The event that made it so; 0 where none did. */
  since: number;
  /** What led to that, the nearest first: events, up to the call or to what nobody asked for. */
  chain: number[];
  /** Whose bytes these are, the last first. */
  writers: Writer[];
  /** The event from which on a block with this version survives a cut; 0 where there is none up to now. */
  durable: number;
  /** What led to that. */
  durableChain: number[];
  /** When the cell changes next; 0 where it does not. */
  next: number;
}

/** More writers of one version are not told: one byte at a time makes thousands. */
const WRITERS = 64;
const LINKS = 1024;

/** From an event back along its causes: the nearest first, without the event itself. */
export function chainOf(tape: Tape, i: number): number[] {
  const chain: number[] = [];
  let at = tape.cause(i);
  while (at > 0 && chain.length < LINKS) {
    chain.push(at);
    at = tape.cause(at);
  }
  return chain;
}

/** Who wrote what a version holds: the call of each version that it was built on, the last first. */
export function writersOf(tape: Tape, names: Names, ver: number): Writer[] {
  const writers: Writer[] = [];
  const seen = new Set<number>();
  let own = ver;
  while (own > 0 && !seen.has(own) && writers.length < WRITERS) {
    seen.add(own);
    const blob = tape.blob(own);
    if (!blob) break;
    const call = names.callEvent(blob.op);
    writers.push({ ver: own, call, words: call ? names.call(call) : "", from: blob.at, to: blob.at + blob.len, blob });
    own = blob.before;
  }
  return writers;
}

/** The first event up to `at` behind which a block with this version survives a power cut; 0: none. */
export function durableAt(tape: Tape, ver: number, at: number): number {
  if (ver === 0) return 0;
  for (let i = 1; i <= Math.min(at, tape.length); i += 1) {
    if (tape.kind(i) === "Settled" && tape.ver(i) === ver && settles(tape, i)) return i;
  }
  return 0;
}

function settles(tape: Tape, i: number): boolean {
  return tape.changes(i).some((change) => change.place === "lba" && change.now.startsWith("S"));
}

/** Why a cell holds what it holds behind event `at`. */
export function why(tape: Tape, names: Names, cell: string, at: number): Why {
  const holds = tape.at(at).get(cell);
  const since = tape.change(cell, at);
  const isContent = holds !== null && (holds.place === "page" || holds.place === "lba");
  const ver = isContent ? holds.ver : 0;
  const durable = durableAt(tape, ver, at);
  return {
    cell,
    holds,
    since,
    chain: since ? chainOf(tape, since) : [],
    writers: writersOf(tape, names, ver),
    durable,
    durableChain: durable ? chainOf(tape, durable) : [],
    next: tape.change(cell, at, 1),
  };
}

/** The calls of an event and of all that led to it, the nearest first, each once. */
export function callsBehind(tape: Tape, names: Names, i: number): number[] {
  const ops = [i, ...chainOf(tape, i)].map((event) => names.callEvent(tape.op(event)));
  return [...new Set(ops.filter((event) => event > 0))];
}
