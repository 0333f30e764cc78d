// The events of a run that matter beyond their own layer.
//
// Invariant: each list is in the order of events, and holds none twice.

import type { Run } from "./app.ts";

export interface Marks {
  /** Behind these something is settled: a sync call's return, a FLUSH or FUA done, a commit record. */
  barrier: number[];
  ack: number[];
  call: number[];
  death: number[];
}

const SYNCS = /^(fsync|fdatasync|sync|syncfs|msync|sync_file_range)\(/;
const kept = new WeakMap<Run, Marks>();

/** Found once for each run. */
export function marksOf(run: Run): Marks {
  let marks = kept.get(run);
  if (!marks) {
    marks = find(run);
    kept.set(run, marks);
  }
  return marks;
}

function find({ tape, info }: Run): Marks {
  const marks: Marks = { barrier: [], ack: [], call: [], death: info.deaths.map((death) => death.event) };
  /** Requests that the drive has with FUA. */
  const fua = new Set<string>();
  for (let i = 1; i <= tape.length; i += 1) {
    const kind = tape.kind(i);
    if (kind === "Call") marks.call.push(i);
    else if (kind === "Ack") marks.ack.push(i);
    else if (kind === "FlushDone") marks.barrier.push(i);
    else if (HAVE_WORDS.has(kind) && isBarrier(kind, tape.event(i)?.words ?? "", fua)) marks.barrier.push(i);
  }
  return marks;
}

const HAVE_WORDS = new Set(["Ret", "JWrite", "Dispatched", "RqDone", "Answered"]);

function isBarrier(kind: string, words: string, fua: Set<string>): boolean {
  switch (kind) {
    case "Ret": return SYNCS.test(words);
    case "JWrite": return /^transaction \d+: Commit at /.test(words);
    case "Answered": return words.startsWith("Commit ") && !words.endsWith(" failed");
    case "Dispatched": {
      const request = /^(request \d+) .* with FUA$/.exec(words)?.[1];
      if (request) fua.add(request);
      return false;
    }
    default: return fua.delete(words);
  }
}

/** The nearest number before or behind `at`; null where there is none. */
export function nearest(numbers: readonly number[], at: number, direction: 1 | -1): number | null {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const own = numbers[middle] ?? 0;
    if (direction === 1 ? own <= at : own < at) low = middle + 1;
    else high = middle;
  }
  return numbers[direction === 1 ? low : low - 1] ?? null;
}
