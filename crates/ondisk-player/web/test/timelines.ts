// Timelines for tests: written as docs/format/timeline.md has them.
import { readFileSync } from "node:fs";
import { Digest } from "../src/tape/digest.ts";

export const HEADER = { ondisk: "timeline", v: 1, seed: "7", config: { fs: "ext4" }, script: "cut", every: 256 };

/** Lines with the last one behind them. */
export function timeline(lines: object[], header: object = HEADER): string {
  const texts = [header, ...lines].map((line) => JSON.stringify(line));
  return ended(texts, lines.filter((line) => "i" in line).length);
}

export function ended(lines: string[], events: number): string {
  const digest = new Digest();
  for (const line of lines) digest.addLine(new TextEncoder().encode(line));
  return [...lines, JSON.stringify({ end: events, digest: digest.toString() }), ""].join("\n");
}

export type Change = [string, string, string];

export function event(i: number, k: string, d: Change[] = [], more: object = {}): object {
  return { i, t: i * 300, l: 3, k, ...more, ...(d.length > 0 ? { d } : {}) };
}

/** The one that the simulation's own tests hold. */
export function golden(): string {
  return readFileSync("../../ondisk-sim/src/machine/timeline/tests/golden.jsonl", "utf8");
}

/** The example of the format's page. */
export function example(): string {
  const page = readFileSync("../../../docs/format/timeline.md", "utf8");
  const blocks = page.split("```text\n").map((block) => block.split("```")[0] ?? "");
  return blocks.find((block) => block.startsWith('{"ondisk"')) ?? "";
}

/** A run of many events over many pages, by a small generator of numbers. */
export function long(events: number, cells: number, seed = 1): string {
  const held = new Map<string, string>();
  const lines: object[] = [];
  let state = seed;
  const next = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  for (let i = 1; i <= events; i += 1) {
    const name = `page/${12 + next(3)}/${next(cells)}`;
    const old = held.get(name) ?? "";
    const now = next(5) === 0 ? "" : `${"DWC"[next(3)]}${i}`;
    lines.push(event(i, "Dirtied", [[name, old, now]], { m: `number ${i}` }));
    if (now) held.set(name, now);
    else held.delete(name);
    if (i % 256 === 0 && held.size <= 256) {
      const sorted = [...held].sort(([a], [b]) => (a < b ? -1 : 1));
      lines.push({ key: i, cells: Object.fromEntries(sorted) });
    }
  }
  return timeline(lines);
}
