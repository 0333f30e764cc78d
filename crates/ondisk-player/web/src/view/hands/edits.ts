// What the knobs do to the text of a script: one small change each, which says what it did.
//
// Invariant: a change is made whole or refused with a reason, and never touches a step that it does
// not tell of. Lines keep their numbers.

import { type Block, Changes, type Step } from "./script.ts";

/** A changed text and what was done; or why there is nothing to do. */
export type Edit = { text: string; did: string } | { why: string };

/** How a program acknowledges, as the log of the store has it. */
export type Mode = "sync" | "batch" | "none";

const SYNCS = new Set(["fsync", "fdatasync", "sync"]);
const WRITES = new Set(["write", "pwrite"]);
const DEATHS = new Set(["kill", "crash", "cut"]);

/** The bytes stay in the program's own buffer. */
export function dropFlush(text: string): Edit {
  return dropAll(text, ["flush"], "There is no flush.", "flush");
}

/** What was written stays with the kernel until it is written back by itself. */
export function dropSync(text: string): Edit {
  return dropAll(text, [...SYNCS], "No file is synced.", "sync");
}

/** Names stay in the journal's running transaction. */
export function dropDirectorySync(text: string): Edit {
  return dropAll(text, ["fsyncdir"], "No directory is synced.", "sync of a directory");
}

function dropAll(text: string, verbs: string[], why: string, what: string): Edit {
  const changes = new Changes(text);
  for (const step of changes.script.steps) if (verbs.includes(step.verb)) changes.drop(step);
  return made(changes, `Dropped ${count(changes.size, what)}`, why);
}

/** `fsync` becomes `fdatasync`, or the other way round. */
export function syncBy(text: string, verb: "fsync" | "fdatasync"): Edit {
  const other = verb === "fsync" ? "fdatasync" : "fsync";
  const changes = new Changes(text);
  for (const step of changes.script.steps) if (step.verb === other) changes.verb(step, verb);
  return made(changes, `${verb} instead of ${other}, ${count(changes.size, "time")}`, `There is no ${other}.`);
}

/** Before an acknowledgement, each directory in which a name changed is synced. */
export function addDirectorySync(text: string): Edit {
  const changes = new Changes(text);
  for (const steps of tasks(changes)) {
    const pending = new Set<string>();
    let last: Step | null = null;
    for (const step of steps) {
      if (step.verb === "fsyncdir") pending.delete(step.args[0] ?? ".");
      else if (step.verb === "sync") pending.clear();
      else if (step.verb === "ack" && pending.size > 0) {
        for (const dir of pending) changes.before(step, `fsyncdir ${name(dir)}`);
        pending.clear();
      }
      for (const path of namesChanged(step)) pending.add(parent(path));
      if (namesChanged(step).length > 0 || SYNCS.has(step.verb)) last = step;
    }
    if (last !== null) for (const dir of pending) changes.after(last, `fsyncdir ${name(dir)}`);
  }
  const why = "Each new name is synced as it is, or there is none.";
  return made(changes, "The directory is synced too", why);
}

/** The names that a step makes, moves or removes. */
function namesChanged(step: Step): string[] {
  const [first = "", second = ""] = step.args;
  switch (step.verb) {
    case "open":
      return step.args.slice(1).includes("create") ? [first] : [];
    case "link":
    case "symlink":
      return [second];
    case "rename":
    case "exchange":
      return [first, second];
    case "remove":
    case "mkdir":
    case "rmdir":
      return [first];
    default:
      return [];
  }
}

function parent(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash <= 0 ? "." : path.slice(0, slash);
}

/** A name as a script has it: in quotes where it needs them. */
export function name(path: string): string {
  if (/^[A-Za-z0-9._\-/~,:%]+$/.test(path)) return path;
  const escaped = path.replace(/["\\]/g, "\\$&").replace(/[\0-\x1f]/g, (c) => {
    return `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return `"${escaped}"`;
}

/** The program as a store in this mode would be. */
export function mode(text: string, to: Mode): Edit {
  if (to === "batch") return acknowledgeFirst(text);
  const changes = new Changes(text);
  if (to === "none") {
    for (const step of changes.script.steps) {
      if (SYNCS.has(step.verb) || step.verb === "fsyncdir") changes.drop(step);
    }
  }
  for (const steps of tasks(changes)) reachBeforeAck(changes, steps, to === "sync");
  if (to === "none") {
    return made(changes, "Acknowledged after the write, never synced", "Nothing is synced.");
  }
  const why = changes.script.steps.some((step) => step.verb === "ack")
    ? "All promises wait for their sync."
    : "Nothing is acknowledged.";
  return made(changes, "Each acknowledgement waits for a sync", why);
}

/** What a task wrote to a file and did not sync: whether some of it is in the buffer still. */
type Pending = Map<string, { buffered: boolean }>;

/** Puts what an acknowledgement needs in front of it: a flush, and a sync where it is asked for. */
function reachBeforeAck(changes: Changes, steps: Step[], sync: boolean): void {
  const pending: Pending = new Map();
  const durable = new Set<string>();
  for (const step of steps) {
    if (step.verb !== "ack") {
      follow(pending, durable, step);
      continue;
    }
    const named = step.args.slice(1);
    for (const [file, { buffered }] of [...pending]) {
      if (named.length > 0 && !named.includes(file)) continue;
      if (buffered) changes.before(step, `flush ${name(file)}`);
      if (sync && !(durable.has(file) && buffered)) changes.before(step, `fsync ${name(file)}`);
      if (sync) pending.delete(file);
      else pending.set(file, { buffered: false });
    }
  }
}

/** What is pending after a step. `durable`: files each of whose writes is a sync. */
function follow(pending: Pending, durable: Set<string>, step: Step): void {
  const [file = "", other = ""] = step.args;
  const known = pending.get(file);
  if (step.verb === "open") {
    if (step.args.slice(1).some((word) => word === "dsync" || word === "sync")) durable.add(file);
    else durable.delete(file);
  } else if (step.verb === "write") {
    pending.set(file, { buffered: true });
  } else if (step.verb === "pwrite" && !durable.has(file)) {
    pending.set(file, { buffered: known?.buffered ?? false });
  } else if ((step.verb === "flush" || step.verb === "close") && known !== undefined) {
    if (durable.has(file)) pending.delete(file);
    else pending.set(file, { buffered: false });
  } else if (step.verb === "sync") {
    for (const [path, { buffered }] of [...pending]) if (!buffered) pending.delete(path);
  } else if (SYNCS.has(step.verb) && known?.buffered === false) {
    pending.delete(file);
  } else if (step.verb === "rename" && known !== undefined) {
    pending.delete(file);
    pending.set(other, known);
  } else if (step.verb === "remove") {
    pending.delete(file);
  }
}

/** Acknowledgements come before the syncs that stood in front of them. */
function acknowledgeFirst(text: string): Edit {
  const changes = new Changes(text);
  for (const steps of tasks(changes)) {
    let syncs: Step[] = [];
    for (const step of steps) {
      if (SYNCS.has(step.verb) || step.verb === "fsyncdir") {
        if (syncs.length > 0 && syncs[0]?.block !== step.block) syncs = [];
        syncs.push(step);
      } else if (step.verb === "ack" && syncs[0]?.block === step.block) {
        changes.before(syncs[0], changes.take(step));
      } else {
        syncs = [];
      }
    }
  }
  const why = "No promise waits for a sync.";
  return made(changes, "Acknowledged after the write, synced later", why);
}

/** After how many records a sync comes, where that can be changed; null where not. */
export function groupSize(text: string): number | null {
  const changes = new Changes(text);
  const inner = groupBlock(changes);
  if (inner !== null) return inner.times;
  return ownSync(changes) !== null || straight(changes).length > 0 ? 1 : null;
}

/** One sync for so many records. */
export function group(text: string, records: number): Edit {
  if (!Number.isInteger(records) || records < 1 || records > 10_000) {
    return { why: "A group has 1 to 10,000 records." };
  }
  const changes = new Changes(text);
  const already = { why: `Each sync is for ${count(records, "record")} as it is.` };
  const one = `One sync for ${count(records, "record")}`;
  const inner = groupBlock(changes);
  if (inner !== null) {
    if (inner.times === records) return already;
    const outer = changes.script.blocks[inner.parent];
    const total = inner.times * (outer?.times ?? 1);
    changes.times(inner, records);
    if (outer !== undefined) changes.times(outer, Math.max(1, Math.ceil(total / records)));
    return made(changes, one, "");
  }
  const own = ownSync(changes);
  const files = straight(changes);
  if (own === null && files.length === 0) {
    return { why: "No file is synced more than once." };
  }
  if (records === 1) return already;
  if (own !== null) {
    changes.before(own.first, `repeat ${records} {`);
    changes.after(own.last, "}");
    changes.times(own.block, Math.max(1, Math.ceil(own.block.times / records)));
  } else {
    for (const file of files) merge(changes, file, records);
  }
  return made(changes, one, "The groups are as large as that already.");
}

/** A `repeat` that writes without a sync and has one behind it. */
function groupBlock(changes: Changes): Block | null {
  const { blocks, steps } = changes.script;
  for (const [n, block] of blocks.entries()) {
    const inside = steps.filter((step) => step.block === n);
    const last = steps.indexOf(inside.at(-1) as Step);
    const writes = inside.some((step) => WRITES.has(step.verb));
    if (!writes || inside.some((step) => SYNCS.has(step.verb))) continue;
    if (SYNCS.has(steps[last + 1]?.verb ?? "") && steps[last + 1]?.block === block.parent) return block;
  }
  return null;
}

/** A `repeat` that begins with writes and flushes and then syncs. */
function ownSync(changes: Changes): { block: Block; first: Step; last: Step } | null {
  const { blocks, steps } = changes.script;
  for (const [n, block] of blocks.entries()) {
    const inside = steps.filter((step) => step.block === n);
    const end = inside.findIndex((step) => !WRITES.has(step.verb) && step.verb !== "flush");
    const [first, last] = [inside[0], inside[end - 1]];
    if (block.times < 2 || !SYNCS.has(inside[end]?.verb ?? "")) continue;
    if (first !== undefined && last !== undefined && WRITES.has(first.verb)) return { block, first, last };
  }
  return null;
}

/** By task and file, the steps between which syncs can be merged: outside of all `repeat`. */
function straight(changes: Changes): { file: string; steps: Step[] }[] {
  const found = [];
  for (const task of tasks(changes)) {
    const steps = task.filter((step) => step.block < 0);
    const synced = steps.filter((step) => SYNCS.has(step.verb)).map((step) => step.args[0] ?? "");
    for (const file of new Set(synced)) {
      if (synced.filter((one) => one === file).length > 1) found.push({ file, steps });
    }
  }
  return found;
}

/** Leaves each so-manieth sync of a file, and the last; acknowledgements wait for it. */
function merge(changes: Changes, of: { file: string; steps: Step[] }, records: number): void {
  let run: Step[] = [];
  let waiting: Step[] = [];
  const isSync = (step: Step) => SYNCS.has(step.verb) && (step.args[0] ?? "") === of.file;
  for (const [n, step] of of.steps.entries()) {
    if (isSync(step)) {
      run.push(step);
      const rest = of.steps.slice(n + 1);
      const next = rest.findIndex((later) => isSync(later) || DEATHS.has(later.verb));
      const isLast = next < 0 || DEATHS.has(rest[next]?.verb ?? "");
      if (run.length < records && !isLast) continue;
      for (const early of run.slice(0, -1)) changes.drop(early);
      for (const ack of waiting) changes.after(step, changes.take(ack));
      [run, waiting] = [[], []];
    } else if (step.verb === "ack" && run.length > 0) {
      const named = step.args.slice(1);
      if (named.length === 0 || named.includes(of.file)) waiting.push(step);
    }
  }
}

/** The steps of each task, in their order. */
function tasks(changes: Changes): Step[][] {
  const found = new Map<string, Step[]>();
  for (const step of changes.script.steps) {
    const steps = found.get(step.task) ?? [];
    steps.push(step);
    found.set(step.task, steps);
  }
  return [...found.values()];
}

function made(changes: Changes, did: string, why: string): Edit {
  if (changes.size === 0) return { why };
  return { text: changes.text(), did: `${did} (${places(changes.lines())}).` };
}

/** `1 record`, `2 records`, `2 syncs of a directory`. */
function count(n: number, what: string): string {
  const [head = "", ...rest] = what.split(" ");
  const plural = head.endsWith("sh") ? `${head}es` : `${head}s`;
  return `${n} ${[n === 1 ? head : plural, ...rest].join(" ")}`;
}

/** `line 4`, `lines 4, 6 and 9`. */
export function places(lines: number[]): string {
  const shown = lines.slice(0, 4).map(String);
  if (lines.length > 4) shown.push(`${lines.length - 4} more`);
  const last = shown.pop() ?? "";
  if (shown.length === 0) return `line ${last}`;
  return `lines ${shown.join(", ")} and ${last}`;
}
