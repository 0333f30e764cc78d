// What happens when the power comes back, cut into steps that can be shown one after the other.
//
// Invariant: the steps come in the order of a real boot: the journal, then the program's own log,
// then the verdict, which is the last and is always there.

import { wordless } from "../../names/sentences.ts";
import type { Death, Recovered, RunInfo } from "../../types.ts";

export interface Stage {
  kind: "boot" | "replayed" | "dropped" | "applied" | "left" | "moved" | "file" | "kept" | "broken" | "plain";
  words: string;
}

const STARTS: Record<Death, string> = {
  cut: "Power on. The drive finds its map again; memory and its cache are empty.",
  crash: "The kernel starts again. The drive never lost power, so its cache is still there.",
  kill: "The process starts again. The kernel never stopped: the page cache is as it was.",
};

/** All steps of a recovery. */
export function stages(recovered: Recovered, info: RunInfo): Stage[] {
  return [
    { kind: "boot", words: STARTS[recovered.how] },
    ...journal(recovered),
    ...recovered.steps.flatMap(moved),
    ...logs(recovered),
    ...recovered.files.map((file): Stage => ({ kind: "file", words: `${file.path} is ${file.is} (${bytes(file.bytes)}).` })),
    ...verdict(recovered, info),
  ];
}

/** A step without words is told by its kind, and left out where that says nothing. */
function moved({ kind, words }: Recovered["steps"][number]): Stage[] {
  const told = words === "" ? wordless(kind) : `${kind}: ${words}.`;
  return told === undefined ? [] : [{ kind: "moved", words: told }];
}

function journal(recovered: Recovered): Stage[] {
  return recovered.journal.map((txn): Stage => {
    const what = `Transaction ${txn.tid} of the journal, ${blocks(txn.blocks)}`;
    return txn.whole
      ? { kind: "replayed", words: `${what}: its commit block is there. Replayed.` }
      : { kind: "dropped", words: `${what}: no commit block. Dropped, and all behind it.` };
  });
}

function logs(recovered: Recovered): Stage[] {
  return recovered.logs.flatMap((log): Stage[] => {
    const found = log.transactions.map((txn): Stage => {
      const held = txn.records.length === 0 ? "" : ` (${txn.records.join(" ")})`;
      const what = `In ${log.path}, ${txn.name}${held}`;
      return txn.committed
        ? { kind: "applied", words: `${what}: its COMMIT marker is there. Re-applied.` }
        : { kind: "left", words: `${what}: no COMMIT marker. Dropped.` };
    });
    if (log.torn) found.push({ kind: "left", words: `${log.path} ends in a torn record: the log is cut off there.` });
    return found;
  });
}

/** Each acknowledgement, and whether it was kept. */
function verdict(recovered: Recovered, info: RunInfo): Stage[] {
  if (recovered.acks.length === 0) {
    return [{ kind: "plain", words: "Nothing was acknowledged by then, so no promise is at stake." }];
  }
  return recovered.acks.map(({ n, kept }): Stage => {
    const text = info.acks.find((ack) => ack.n === n)?.text ?? "";
    return kept
      ? { kind: "kept", words: `Promise kept: “${text}”.` }
      : { kind: "broken", words: `Promise broken: “${text}” was said, and it is not so.` };
  });
}

function blocks(n: number): string {
  return `${n} ${n === 1 ? "block" : "blocks"}`;
}

function bytes(n: number): string {
  return `${n.toLocaleString("en")} ${n === 1 ? "byte" : "bytes"}`;
}
