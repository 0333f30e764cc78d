// What the numbers in events are called: files of inodes, of buffers and of descriptors.
//
// Invariant: a name is taken from what the run itself said, its calls and lookups. Where nobody
// named a thing it keeps its number; nothing is guessed.

import type { Tape } from "./tape.ts";
import { sentence } from "./names/sentences.ts";
import type { RunInfo } from "./types.ts";

const OPEN = /^openat\("((?:[^"\\]|\\.)*)", ([A-Z_|]+)/;
const RENAME = /^(rename|renameat2)\("((?:[^"\\]|\\.)*)", "((?:[^"\\]|\\.)*)"/;
const OF_FD = /^(\w+)\((\d+)(?=[,)])/;

/** Names and sentences for one run. Where an event is given, it is what was called so then. */
export class Names {
  /** By inode: from which event on it has which name. */
  private readonly inodes = new Map<number, { from: number; path: string }[]>();
  /** By the number of the description. */
  private readonly buffers: string[] = [];
  /** By the event of a call: the file of its descriptor. */
  private readonly ofCall = new Map<number, string>();
  private readonly callOf = new Map<number, number>();
  private readonly taskOf = new Map<number, number>();

  constructor(
    private readonly tape: Tape,
    private readonly info: RunInfo,
  ) {
    for (const call of info.calls) this.taskOf.set(call.from, call.task);
    new Reading(tape, this.taskOf, this.callOf, this.inodes, this.buffers, this.ofCall).all();
  }

  /** The file with an inode: `log`; where nobody named it, `inode 12`. */
  inode(ino: number, at = this.tape.length): string {
    let path = "";
    for (const name of this.inodes.get(ino) ?? []) if (name.from <= at || path === "") path = name.path;
    return path || (ino === 2 ? "the root directory" : `inode ${ino}`);
  }

  /** The file of a buffer: `log`; else `buffer 1`. */
  buffer(n: number): string {
    return this.buffers[n] ?? `buffer ${n}`;
  }

  /** The name of a task: `A`. */
  task(n: number): string {
    return this.info.tasks[n] ?? `task ${n}`;
  }

  /** The call on whose behalf something happens, by its event; 0 where it is nobody's. */
  callEvent(op: number): number {
    return this.callOf.get(op) ?? 0;
  }

  /** A call in words, with the file where its descriptor stood: `fsync(log)`. */
  call(event: number): string {
    const words = this.tape.event(event)?.words ?? "";
    const file = this.ofCall.get(event);
    return file === undefined ? words : words.replace(OF_FD, (_, name: string) => `${name}(${file}`);
  }

  /** An event as a sentence for people. */
  event(i: number): string {
    return sentence(this, this.tape, i);
  }

  /** A cell as a person calls it: `page 0 of log`. */
  cell(name: string, at = this.tape.length): string {
    const [place, first, second] = name.split("/");
    switch (place) {
      case "buf": return `the buffer of ${this.buffer(Number(first))}`;
      case "page": return `page ${second} of ${this.inode(Number(first), at)}`;
      case "jbd": return `transaction ${first} of the journal`;
      case "q": return `request ${first}`;
      case "lba": return `block ${first} of the drive`;
      case "nand": return `page ${second} of erase block ${first}`;
      default: return name;
    }
  }
}

/** Goes through the calls once, in their order. */
class Reading {
  /** By the path: its inode, as far as it was seen. */
  private readonly paths = new Map<string, number>();
  /** By call: what was looked up last, or made. */
  private readonly found = new Map<number, number>();
  /** By task: descriptors. Where tasks are not known, a descriptor of several files has none. */
  private readonly open = new Map<string, string | null>();

  constructor(
    private readonly tape: Tape,
    private readonly taskOf: ReadonlyMap<number, number>,
    private readonly callOf: Map<number, number>,
    private readonly inodes: Map<number, { from: number; path: string }[]>,
    private readonly buffers: string[],
    private readonly ofCall: Map<number, string>,
  ) {
    this.buffers.length = 1;
    this.buffers[0] = "buffer 0";
  }

  all(): void {
    for (let i = 1; i <= this.tape.length; i += 1) {
      const kind = this.tape.kind(i);
      if (kind === "Call") this.called(i);
      else if (kind === "Ret") this.returned(i);
      else if (kind === "Lookup") this.seen(i, /^in \d+: (\d+)$/);
      else if (kind === "Handle") this.seen(i, /: Create (\d+)$/);
      else if (kind === "Dirtied") this.dirtied(i);
    }
  }

  private called(i: number): void {
    this.callOf.set(this.tape.op(i), i);
    const fd = OF_FD.exec(this.tape.event(i)?.words ?? "")?.[2];
    const file = fd === undefined ? undefined : this.open.get(this.slot(i, fd));
    if (file) this.ofCall.set(i, file);
  }

  private slot(call: number, fd: string): string {
    return `${this.taskOf.get(call) ?? ""}:${fd}`;
  }

  private seen(i: number, pattern: RegExp): void {
    const ino = Number(pattern.exec(this.tape.event(i)?.words ?? "")?.[1] ?? 0);
    if (ino > 0) this.found.set(this.tape.op(i), ino);
  }

  /** Where no name is looked up here (a server does it), the first write through a descriptor tells. */
  private dirtied(i: number): void {
    const ino = Number(/^page \d+ of (\d+)/.exec(this.tape.event(i)?.words ?? "")?.[1] ?? 0);
    const call = this.callOf.get(this.tape.op(i)) ?? 0;
    const file = this.ofCall.get(call);
    if (ino > 0 && file !== undefined && !this.inodes.has(ino)) this.name(ino, file, call);
  }

  private returned(i: number): void {
    const words = this.tape.event(i)?.words ?? "";
    const answer = / = (-?\d+)/.exec(words)?.[1];
    const call = this.callOf.get(this.tape.op(i)) ?? 0;
    if (answer === undefined || answer.startsWith("-")) return;
    const opened = OPEN.exec(words);
    const renamed = RENAME.exec(words);
    if (opened) this.opened(i, call, plain(opened[1]), opened[2] ?? "", answer);
    else if (renamed) this.renamed(i, plain(renamed[2]), plain(renamed[3]));
    else if (words.startsWith("close(")) this.closed(call, words);
  }

  private opened(i: number, call: number, path: string, flags: string, fd: string): void {
    const slot = this.slot(call, fd);
    const known = this.open.get(slot);
    const isOther = known !== undefined && known !== path && !this.taskOf.has(call);
    this.open.set(slot, isOther ? null : path);
    if (!flags.includes("O_DIRECTORY")) this.buffers.push(path);
    const ino = this.found.get(this.tape.op(i));
    if (ino !== undefined) this.name(ino, path, call);
  }

  private closed(call: number, words: string): void {
    const fd = OF_FD.exec(words)?.[2];
    if (fd !== undefined) this.open.delete(this.slot(call, fd));
  }

  private name(ino: number, path: string, from: number): void {
    this.paths.set(path, ino);
    const names = this.inodes.get(ino) ?? [];
    if (names[names.length - 1]?.path !== path) names.push({ from, path });
    this.inodes.set(ino, names);
  }

  /** A directory takes what is in it along. */
  private renamed(i: number, from: string, to: string): void {
    for (const [path, ino] of [...this.paths]) {
      if (path !== from && !path.startsWith(`${from}/`)) continue;
      this.paths.delete(path);
      this.name(ino, to + path.slice(from.length), i);
    }
    if (!this.paths.has(to)) {
      // What has no inode yet will be named by its descriptors.
      for (const [slot, path] of this.open) if (path === from) this.open.set(slot, to);
    }
    const ino = this.found.get(this.tape.op(i));
    if (!this.paths.has(to) && ino !== undefined && !this.inodes.has(ino)) this.name(ino, to, i);
  }
}

/** A name as it was before it was put in quotes. */
function plain(quoted: string | undefined): string {
  return (quoted ?? "").replace(/\\(["\\])/g, "$1");
}
