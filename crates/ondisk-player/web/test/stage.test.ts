// What the stage draws is read from the moment alone: which cells are joined, what a death takes.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { App } from "../src/app.ts";
import { runTimeline } from "../src/runs.ts";
import { readTape } from "../src/tape.ts";
import type { Death } from "../src/types.ts";
import { crossing } from "../src/view/layers/boundary.ts";
import { lost, scene, spans, takes } from "../src/view/layers/scene.ts";
import { gathered, LANES } from "../src/view/layers/strip.ts";
import { opened } from "../src/view/layers/vfs.ts";
import { clock, figures } from "../src/view/layers/words.ts";
import { event, timeline } from "./timelines.ts";

const RUN = runTimeline("run", readTape(timeline([
  event(1, "Call", [], { op: 1, m: 'openat("log", O_RDWR)' }),
  event(2, "Ret", [], { op: 1, m: 'openat("log", O_RDWR) = 3' }),
  event(3, "Buffered", [["buf/1", "", "B9"]], { m: "9 bytes more, 9 held of file 1" }),
  event(4, "Dirtied", [["page/4/0-19", "", "D1+"]], { ver: 1, m: "20 pages of 4 from 0" }),
  event(5, "Call", [], { op: 2, m: "fsync(3)" }),
  event(6, "WbStart", [["page/4/3", "D4", "W4"]], { op: 2, m: "page 3 of 4" }),
  event(7, "CacheIn", [["lba/90-91", "", "V"]], { op: 2, m: "block 90" }),
  event(8, "Settled", [["lba/91", "V", "S"]], { op: 2, m: "block 91: durable" }),
  event(9, "Ret", [], { op: 2, m: "fsync(3) = 0" }),
  event(10, "Ack", [], { m: 'ack "on disk"' }),
  event(11, "Cut", [["buf/1", "B9", ""], ["page/4/0-2", "D1+", ""], ["page/4/3", "W4", ""], ["page/4/4-19", "D5+", ""], ["lba/90", "V", ""]]),
])));
RUN.info.records.push({ n: 0, task: 0, line: 1, file: "log", text: "A", bytes: 1, offset: 0 });

function at(moment: number, death: Death | null = null) {
  const app = { state: { run: RUN, moment: { at: moment, death } }, judge: () => null } as unknown as App;
  const now = scene(app);
  assert.ok(now);
  return now;
}

test("neighbours in one state are one span; few cells stay apart", () => {
  const joined = spans(at(7), at(7).cells.in("page"), 16).map((span) => [span.first, span.last, span.state]);
  assert.deepEqual(joined, [[0, 2, "D"], [3, 3, "W"], [4, 19, "D"]]);
  const apart = spans(at(6), at(6).cells.in("page"), 20);
  assert.equal(apart.length, 20);
  assert.deepEqual(apart.filter((span) => span.now).map((span) => span.first), [3]);
});

test("each death takes its own rungs", () => {
  const taken = (how: Death) => {
    const now = at(8, how);
    const all = [...now.cells.in("buf"), ...now.cells.in("page"), ...now.cells.in("lba")];
    return new Set(all.filter((cell) => takes(now, cell)).map((cell) => cell.place + cell.state));
  };
  assert.deepEqual(taken("kill"), new Set(["bufB"]));
  assert.deepEqual(taken("crash"), new Set(["bufB", "pageD", "pageW"]));
  assert.deepEqual(taken("cut"), new Set(["bufB", "pageD", "pageW", "lbaV"]));
});

test("where the machine is not asked a record is lost by its rung", () => {
  const fates = (how: Death) =>
    (["buffered", "cached", "device", "durable", "gone"] as const).map((rung) => lost(at(8, how), 0, rung));
  assert.deepEqual(fates("kill"), ["always", "never", "never", "never", null]);
  assert.deepEqual(fates("crash"), ["always", "always", "never", "never", null]);
  assert.deepEqual(fates("cut"), ["always", "always", "always", "never", null]);
  assert.equal(lost(at(8), 0, "cached"), null);
});

test("at a death of the script the cells before it are seen", () => {
  const now = at(11);
  assert.deepEqual(now.death, { how: "cut", own: true });
  assert.equal(now.cells.in("page").length, 20);
  assert.equal(takes(now, { place: "lba", of: 0, n: 91, state: "S" }), false);
});

test("the line shows calls that are inside, else the one that returned last", () => {
  const words = (moment: number) => crossing(RUN.info.calls, moment).map((call) => call.words);
  assert.deepEqual(words(0), []);
  assert.deepEqual(words(3), ['openat("log", O_RDWR)']);
  assert.deepEqual(words(7), ["fsync(3)"]);
});

test("a descriptor is open from its return to the death", () => {
  assert.deepEqual([1, 2, 10].map((moment) => opened(RUN, moment).map((one) => one.file)), [[], ["log"], ["log"]]);
});

test("a strip is as wide as it is, and its marks stand apart", () => {
  const strip = gathered(RUN, 60);
  assert.equal(strip.ink.length, 60 * LANES);
  assert.deepEqual(strip.marks.map((mark) => [mark.kind, mark.at]), [["death", 11], ["sync", 9]]);
  assert.deepEqual(gathered(RUN, 600).marks.map((mark) => mark.kind), ["death", "ack", "sync"]);
});

test("times and counts are said with their units", () => {
  assert.deepEqual([0, 999, 1000, 88_400, 1_878_300, 5e9].map(clock), ["0 ns", "999 ns", "1.00 µs", "88.4 µs", "1.88 ms", "5.00 s"]);
  assert.equal(figures(1234567), "1,234,567");
});
