// Moments: from what is meant to the number of an event.
//
// Invariant: a moment is found in the run alone. What a run does not have is null, never a guess.

import type { Run } from "../app.ts";
import type { When } from "./lesson.ts";

/** The part of a run that moments are found in. */
export type Ran = Pick<Run, "info" | "tape">;

/** How many events have happened at a moment; null where it never comes. */
export function find(when: When, ran: Ran): number | null {
  switch (when.kind) {
    case "start":
      return 0;
    case "end":
      return ran.tape.length;
    case "called":
    case "returned": {
      const calls = ran.info.calls.filter((call) => nameOf(call.words) === when.call);
      const call = calls[when.no - 1];
      const at = when.kind === "called" ? call?.from : call?.to;
      return at === undefined || at === 0 ? null : at;
    }
    case "said":
      return ran.info.acks.filter((ack) => ack.text === when.text)[when.no - 1]?.event ?? null;
    case "event": {
      const since = when.since ? find(when.since, ran) : 0;
      return since === null ? null : nth(when.name, when.says, when.no, since, ran);
    }
    case "before": {
      const at = find(when.when, ran);
      return at === null || at === 0 ? null : at - 1;
    }
  }
}

/** The name of a call: `fsync` of `fsync(3)`. */
export function nameOf(words: string): string {
  return words.slice(0, words.indexOf("("));
}

function nth(name: string, says: string, no: number, since: number, ran: Ran): number | null {
  let left = no;
  for (let i = since + 1; i <= ran.tape.length; i++) {
    if (is(ran, i, name, says) && --left === 0) return i;
  }
  return null;
}

/** How many events of a kind, with these words, lie behind `from` and not behind `to`. */
export function between(ran: Ran, name: string, says: string, from: number, to: number): number {
  let found = 0;
  for (let i = from + 1; i <= to; i++) if (is(ran, i, name, says)) found++;
  return found;
}

function is(ran: Ran, i: number, name: string, says: string): boolean {
  return ran.tape.kind(i) === name && (says === "" || (ran.tape.event(i)?.words.includes(says) ?? false));
}
