// Which record the page asks about, and how far each record is at a moment.
//
// Invariant: the choice looks at rungs and promises alone, never at what a death would leave: else
// it would give the answer away.

import type { Judged, RecordInfo, Rung, RunInfo } from "../../types.ts";

/** A record and how far it is; null where that is not known. */
export interface Stands {
  record: RecordInfo;
  rung: Rung | null;
}

/** The rung of each record that was written by an event, by its number. */
export function rungsAt(info: RunInfo, at: number): Map<number, Rung> {
  const rungs = new Map<number, Rung>();
  for (const [event, record, rung] of info.ladder) {
    if (event > at) break;
    rungs.set(record, rung);
  }
  return rungs;
}

/** The records that are there to be lost: written by then, and not replaced by the program itself. */
export function standing(info: RunInfo, at: number, judged: Judged): Stands[] {
  const rungs = rungsAt(info, Math.min(at, info.ladder_until));
  const known = at <= info.ladder_until;
  const fates = new Set(judged.records.map((fate) => fate.n));
  const found: Stands[] = [];
  for (const record of info.records) {
    const rung = known ? rungs.get(record.n) ?? null : null;
    if (!fates.has(record.n) || rung === "gone") continue;
    found.push({ record, rung });
  }
  return found;
}

/** The acknowledgements that were given by then and speak for a record. */
export function promised(info: RunInfo, at: number, record: number): RunInfo["acks"] {
  return info.acks.filter((ack) => ack.event <= at && ack.records.includes(record));
}

/**
 * The record to ask about: the newest whose fate is not plain to see. That is one on its way, in the
 * page cache or in the drive; or one that was promised and is not durable. Then the newest in a
 * buffer; then the newest of all.
 */
export function choose(info: RunInfo, at: number, stands: Stands[]): Stands | null {
  const newest = [...stands].sort((a, b) => b.record.n - a.record.n);
  const onItsWay = ({ record, rung }: Stands) =>
    rung === "cached" || rung === "device" ||
    (rung !== "durable" && promised(info, at, record.n).length > 0);
  const inBuffer = ({ rung }: Stands) => rung === "buffered";
  return newest.find(onItsWay) ?? newest.find(inBuffer) ?? newest[0] ?? null;
}
