// How fast events go by when they are played.
//
// Invariant: about four a second at speed 1; what the program did or said stays longer, and is never
// passed over at any speed.

import type { Tape } from "./tape.ts";

export const SPEEDS: readonly number[] = [0.25, 0.5, 1, 2, 4, 8, 16];

const EVENT_MS = 250;
/** A picture that stands for less is not seen: events are taken together. */
const LEAST_MS = 50;

const DWELL: Record<string, number> = {
  Call: 600, Ret: 500, Buffered: 600, Spilled: 500, Dirtied: 500,
  Ack: 1500, Kill: 2000, Crash: 2000, Cut: 2000,
};

/** Where playing goes next, and how long that stays. */
export function nextStop(tape: Tape, at: number, speed: number): { at: number; ms: number } {
  let to = at;
  let ms = 0;
  while (to < tape.length && ms < LEAST_MS) {
    to += 1;
    const dwell = DWELL[tape.kind(to)];
    ms += (dwell ?? EVENT_MS) / speed;
    if (dwell !== undefined) break;
  }
  return { at: to, ms };
}
