// Why is this dirty? Whose bytes? What made it durable?
import assert from "node:assert/strict";
import { test } from "node:test";
import { callsBehind, chainOf, why } from "../src/causes.ts";
import { runTimeline } from "../src/runs.ts";
import { readTape } from "../src/tape.ts";
import { event, timeline } from "./timelines.ts";

const blob = (ver: string, at: number, op: number, before?: string) =>
  ({ blob: ver, len: 2, b64: "QUI=", ino: 4, page: 0, at, op, ...(before ? { before } : {}) });

const { tape, names } = runTimeline("run", readTape(timeline([
  event(1, "Call", [], { op: 1, m: "pwrite64(3, …, 2, 0)" }),
  blob("1", 0, 1),
  event(2, "Dirtied", [["page/4/0", "", "D1"]], { c: 1, op: 1, ver: 1 }),
  event(3, "Ret", [], { c: 2, op: 1, m: "pwrite64(3, …, 2, 0) = 2" }),
  event(4, "Call", [], { op: 2, m: "pwrite64(3, …, 2, 8)" }),
  blob("2", 8, 2, "1"),
  event(5, "Dirtied", [["page/4/0", "D1", "D2"]], { c: 4, op: 2, ver: 2 }),
  event(6, "Ret", [], { c: 5, op: 2, m: "pwrite64(3, …, 2, 8) = 2" }),
  event(7, "Call", [], { op: 3, m: "fsync(3)" }),
  event(8, "WbStart", [["page/4/0", "D2", "W2"]], { c: 7, op: 3, ver: 2 }),
  event(9, "CacheIn", [["lba/70", "", "V2"]], { c: 8, op: 3, ver: 2 }),
  event(10, "Settled", [["lba/70", "V2", "W2"]], { c: 9, op: 3, ver: 2 }),
  event(11, "FlushStart", [], { c: 7, op: 3 }),
  event(12, "Settled", [["lba/70", "W2", "S2"]], { c: 11, op: 3, ver: 2 }),
  event(13, "WbDone", [["page/4/0", "W2", "C2"]], { c: 9, op: 3, ver: 2 }),
])));

test("a dirty page tells its writers, the last first, and what came before them", () => {
  const answer = why(tape, names, "page/4/0", 6);
  assert.equal(answer.holds?.state, "D");
  assert.equal(answer.since, 5);
  assert.deepEqual(answer.chain, [4]);
  assert.deepEqual(answer.writers.map((writer) => [writer.ver, writer.call, writer.from, writer.to]), [[2, 4, 8, 10], [1, 1, 0, 2]]);
  assert.equal(answer.durable, 0);
  assert.equal(answer.next, 8);
});

test("what made a version durable is followed back to the call", () => {
  const answer = why(tape, names, "page/4/0", 13);
  assert.equal(answer.durable, 12);
  assert.deepEqual(answer.durableChain, [11, 7]);
  assert.deepEqual(callsBehind(tape, names, 12), [7]);
  assert.equal(why(tape, names, "page/4/0", 11).durable, 0);
});

test("a cell that never held anything has no story", () => {
  const answer = why(tape, names, "jbd/9", 13);
  assert.deepEqual([answer.holds, answer.since, answer.writers.length, answer.next], [null, 0, 0, 0]);
});

test("causes that go round or forward end", () => {
  const round = readTape(timeline([event(1, "A", [], { c: 1 }), event(2, "B", [], { c: 3 }), event(3, "C", [], { c: 2 })]));
  assert.deepEqual(chainOf(round, 1), []);
  assert.deepEqual(chainOf(round, 2), []);
  assert.deepEqual(chainOf(round, 3), [2]);
});

test("versions that are built on each other in a ring end", () => {
  const lines = [event(1, "A", [["page/4/0", "", "D1"]]), blob("1", 0, 1, "2"), blob("2", 0, 1, "1")];
  const ring = runTimeline("ring", readTape(timeline(lines)));
  assert.equal(why(ring.tape, ring.names, "page/4/0", 1).writers.length, 2);
});
