// Where one is in a program that was changed: the same line, as often run as before.
//
// Invariant: where nothing changed before the present moment, the moment stays the same.

import type { RunInfo } from "../../types.ts";

/** For a line of the old text the line of the new one, both counted from 1. */
export function lineMap(before: string, after: string): (line: number) => number {
  const [old, now] = [before.split("\n"), after.split("\n")];
  let head = 0;
  while (head < Math.min(old.length, now.length) && old[head] === now[head]) head++;
  let tail = 0;
  while (tail < Math.min(old.length, now.length) - head && old.at(-1 - tail) === now.at(-1 - tail)) tail++;
  return (line) => {
    if (line <= head) return line;
    if (line > old.length - tail) return line + now.length - old.length;
    return Math.max(1, Math.min(line, now.length - tail));
  };
}

/** The event of a new run that is where `at` was in the old one. */
export function placeIn(old: RunInfo, at: number, now: RunInfo, line: (old: number) => number): number {
  if (at <= 0) return 0;
  const past = old.lines.filter(([event]) => event <= at);
  const same = past.every(([event, task, of], n) => {
    const [event2, task2, of2] = now.lines[n] ?? [];
    return event === event2 && task === task2 && line(of) === of2;
  });
  if (same) return Math.min(at, now.events);
  for (let n = past.length - 1; n >= 0; n--) {
    const [begin, task, of] = past[n] as [number, number, number];
    const times = past.slice(0, n + 1).filter(([, t, l]) => t === task && l === of).length;
    const found = now.lines.filter(([, t, l]) => t === task && l === line(of))[times - 1];
    if (found === undefined) continue;
    const end = endOf(now, found[0]);
    // Behind all that the line did, or as far into it.
    return at >= endOf(old, begin) ? end : Math.min(found[0] + at - begin, end);
  }
  return 0;
}

/** The last event before the next line begins. */
function endOf(info: RunInfo, event: number): number {
  const next = info.lines.find(([later]) => later > event);
  return next === undefined ? info.events : next[0] - 1;
}
