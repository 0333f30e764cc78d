// Events as sentences.
//
// Invariant: a sentence says no more than its event. What no sentence is known for is shown as the
// timeline has it.

import type { Tape } from "../tape.ts";
import type { Names } from "../names.ts";

/** `{}` stands for the event's own words, with files in place of inodes and buffers. */
const SAYS: Record<string, string> = {
  Mounted: "The file system is mounted.",
  Lookup: "The name is looked up {}.",
  Errno: "The call fails: {}.",
  Dirtied: "{} is dirty: its new bytes are in the page cache, and nowhere else.",
  Throttled: "Too much is dirty, the writer has to wait: {}.",
  WbStart: "{} goes down to be written.",
  WbDone: "{} is written: the drive has it, and the page is clean.",
  WbError: "{} could not be written, and counts as clean all the same.",
  Reserved: "Room is promised to {}; no place yet.",
  Allocated: "{}: it gets its place on the drive.",
  Converted: "{} counts as written now.",
  Handle: "Metadata change in the journal's {}.",
  TxnState: "Journal, {}.",
  JWrite: "Into the journal, {}.",
  Revoked: "{} must not be replayed from before.",
  Checkpointed: "{} is home: the journal is not needed for it any more.",
  TailMoved: "The journal's tail moves {}.",
  Bio: "To the block layer: {}.",
  Plugged: "Held back for a moment, in case more follows: {}.",
  Merged: "Two neighbours become one: {}.",
  Queued: "With the scheduler: {}.",
  Dispatched: "To the drive: {}.",
  RqDone: "The drive answers {}.",
  FlushStart: "The drive is asked to empty its cache: FLUSH, {}.",
  FlushDone: "The drive says that its cache is empty: FLUSH, {}.",
  CacheIn: "The drive's volatile cache takes {}. A power cut would lose it.",
  Programmed: "The drive writes {} of its flash.",
  Mapped: "The drive's map names it: {}.",
  GcCopy: "The drive moves what is still valid, {}.",
  Erased: "The drive erases: {}.",
  WearMove: "The drive evens out its wear, {}.",
  MapSaved: "The drive saves its map: {}.",
  Fault: "A fault as the script wants it: {}.",
  Replayed: "Recovery replays {}.",
  OrphanFreed: "Recovery frees inode {}, which no name has.",
  Asked: "To the server: {}.",
  Answered: "The server answers: {}.",
  Crash: "The kernel crashes. What only it knew is gone.",
  Cut: "The power is cut. What only memory and the drive's cache knew is gone.",
  Kill: "The process is killed. What was in its own buffer is gone.",
};

/** The sentence for an event that has no words of its own. */
export function wordless(kind: string): string | undefined {
  const says = SAYS[kind];
  return says?.includes("{}") ? undefined : says;
}

export function sentence(names: Names, tape: Tape, i: number): string {
  const event = tape.event(i);
  if (!event) return i === 0 ? "Nothing has happened yet." : "";
  const { kind, words } = event;
  switch (kind) {
    case "Call": return `The program calls ${names.call(i)}.`;
    case "Ret": return returned(names, tape, i, words);
    case "Ack": return `The program tells the world: ${words.replace(/^ack /, "")}.`;
    case "Buffered": return buffered(names, words);
    case "Settled": return settled(words);
    case "Spilled": return `Out of the buffer, towards the kernel: ${withFiles(names, words, i)}.`;
    default: break;
  }
  const says = SAYS[kind];
  if (says === undefined) return words ? `${kind}: ${words}.` : `${kind}.`;
  const text = says.replace("{}", () => withFiles(names, words, i));
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function returned(names: Names, tape: Tape, i: number, words: string): string {
  const call = names.callEvent(tape.op(i));
  const cut = words.lastIndexOf(" = ");
  if (call === 0 || cut < 0) return `${words}: the call returns.`;
  return `${names.call(call)} returns${words.slice(cut)}.`;
}

function buffered(names: Names, words: string): string {
  const found = /^(\d+) bytes more, (\d+) held of file (\d+)$/.exec(words);
  if (!found) return `Into the program's own buffer: ${words}.`;
  const file = names.buffer(Number(found[3]));
  return `${bytes(found[1])} more into the program's own buffer of ${file}; it holds ${found[2]}. The system has not seen them.`;
}

const RUNGS: Record<string, string> = {
  device: "is with the drive. A crash leaves it; a power cut takes it, unless the cache is safe",
  durable: "is durable. It survives a power cut",
};

function settled(words: string): string {
  const found = /^block (\d+): (\w+)$/.exec(words);
  const rung = RUNGS[found?.[2] ?? ""];
  return found && rung ? `Block ${found[1]} ${rung}.` : `Settled: ${words}.`;
}

export function bytes(count: number | string | undefined): string {
  return Number(count) === 1 ? "1 byte" : `${count} bytes`;
}

/** The words of an event, with names in place of numbers. */
function withFiles(names: Names, words: string, at: number): string {
  return words
    .replace(/^(\d+) bytes of file (\d+)$/, (_, count: string, file: string) => `${bytes(count)} of ${names.buffer(Number(file))}`)
    .replace(/\bpage (\d+) of (\d+)/, (_, page: string, ino: string) => `page ${page} of ${names.inode(Number(ino), at)}`)
    .replace(/(\d+) pages of (\d+) from/, (_, count: string, ino: string) => `${count} pages of ${names.inode(Number(ino), at)} from`)
    .replace(/^in (\d+): (\d+)$/, (_, dir: string, ino: string) => `in ${names.inode(Number(dir), at)}: ${names.inode(Number(ino), at)} is there`)
    .replace(/^in (\d+): not there$/, (_, dir: string) => `in ${names.inode(Number(dir), at)}: it is not there`)
    .replace(/^(transaction \d+: (?:Create|Length|Allocate|Name|\w+)) (\d+)$/, (_, head: string, ino: string) => `${head} of ${names.inode(Number(ino), at)}`);
}
