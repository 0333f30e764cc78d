// Timelines are read with nothing believed, and gone through both ways.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readTape, readingTape, TapeError } from "../src/tape.ts";
import type { Cells, Place, Tape } from "../src/tape.ts";
import { HEADER, ended, event, example, golden, long, timeline } from "./timelines.ts";

const PLACES: Place[] = ["buf", "page", "jbd", "q", "lba", "nand"];

/** All cells as a text. */
function shown(cells: Cells): string {
  const all = PLACES.flatMap((place) => cells.in(place));
  assert.equal(cells.size, all.length);
  return all.map((cell) => `${cell.name}=${cell.state}${cell.ver || ""}`).join(" ");
}

function refused(text: string): TapeError {
  try {
    readTape(text);
  } catch (error) {
    assert.ok(error instanceof TapeError, String(error));
    return error;
  }
  return assert.fail("it was read");
}

test("the digest is that of the simulation", () => {
  assert.ok(readTape(golden()).length > 0);
  assert.equal(readTape(example()).length, 13);
  const damaged = example().replace('"t":300,', '"t":301,');
  assert.match(refused(damaged).message, /another digest.*Write it again/);
});

test("the example is what its page says", () => {
  const tape = readTape(example());
  assert.equal(shown(tape.at(8)), "page/12/0=W1 jbd/1=running q/1=D1 lba/2048=V1");
  assert.equal(shown(tape.at(13)), "");
  assert.equal(shown(tape.at(1)), "buf/0=B3");
  assert.equal(tape.at(1).get("buf/0")?.ver, 3);
  assert.equal(tape.at(1).get("buf/1"), null);
  assert.deepEqual([...(tape.blob(1)?.bytes ?? [])], [65, 66, 67]);
  assert.equal(tape.blob(2)?.len, 2000);
  assert.equal(tape.blob(2)?.bytes.length, 64);
  assert.equal(tape.blob(3), null);
  const event = tape.event(5);
  assert.equal(event?.kind, "WbStart");
  assert.equal(event?.cause, 4);
  assert.equal(event?.words, "page 0 of 12");
  assert.deepEqual(event?.changes, [
    { place: "page", of: 12, n: 0, count: 1, old: "D1", now: "W1", oldRises: false, nowRises: false },
  ]);
  assert.equal(tape.event(0), null);
  assert.equal(tape.event(14), null);
  assert.equal(tape.event(1.5), null);
  assert.equal(tape.change("page/12/0", 9), 5);
  assert.equal(tape.change("page/12/0", 9, 1), 10);
  assert.equal(tape.change("page/12/7", 13), 0);
});

/** The cells behind each event, from the beginning on. */
function upwards(tape: Tape): string[] {
  return Array.from({ length: tape.length + 1 }, (_, i) => shown(tape.at(i)));
}

test("a step back is the step on, undone: the cells are the same from either side", () => {
  for (const text of [golden(), example(), long(1500, 40)]) {
    const tape = readTape(text);
    const seen = upwards(tape);
    for (let i = tape.length; i >= 0; i -= 1) assert.equal(shown(tape.at(i)), seen[i], `down to ${i}`);
    let at = 1;
    for (let n = 0; n < 400; n += 1) {
      at = (at * 7919 + 13) % (tape.length + 1);
      assert.equal(shown(tape.at(at)), seen[at], `jump to ${at}`);
    }
    assert.equal(shown(tape.at(-5)), seen[0]);
    assert.equal(shown(tape.at(Infinity)), seen[tape.length]);
  }
});

test("a seek in ten thousand events touches few cells", () => {
  const tape = readTape(long(10_000, 60));
  const { cells } = tape as unknown as { cells: { set(...of: number[]): number } };
  const set = cells.set.bind(cells);
  let sets = 0;
  cells.set = (...of) => {
    sets += 1;
    return set(...of);
  };
  for (let at = 1, n = 0; n < 200; n += 1, at = (at * 7919 + 13) % 10_001) {
    sets = 0;
    tape.at(at);
    assert.ok(sets < 1024, `${sets} cells on the way to ${at}`);
  }
});

test("runs of cells are one change", () => {
  const tape = readTape(timeline([
    event(1, "Dirtied", [["page/7/0-2", "", "D4+"]]),
    event(2, "WbStart", [["page/7/1-2", "D5+", "W5+"], ["lba/9-10", "", "V"]]),
  ]));
  assert.equal(shown(tape.at(2)), "page/7/0=D4 page/7/1=W5 page/7/2=W6 lba/9=V lba/10=V");
  assert.equal(shown(tape.at(1)), "page/7/0=D4 page/7/1=D5 page/7/2=D6");
  assert.equal(tape.change("page/7/2", 2), 2);
  assert.equal(tape.change("page/7/0", 2), 1);
});

test("cells stand in the order of their numbers", () => {
  const tape = readTape(timeline([event(1, "Dirtied", [["page/70/0", "", "D1"], ["page/9/10", "", "D2"], ["page/9/9", "", "D3"]])]));
  assert.deepEqual(tape.at(1).in("page").map((cell) => cell.name), ["page/9/9", "page/9/10", "page/70/0"]);
  assert.deepEqual(tape.at(1).in("page", 9).map((cell) => cell.ver), [3, 2]);
  assert.equal(tape.at(1).size, 3);
});

test("what is not known is skipped", () => {
  const lines = [{ ...event(1, "Odd", [["moon/1", "", "D1"], ["page/1/1", "", "D1"]]), x: [1] }, { extra: true }];
  const tape = readTape(timeline(lines, { ...HEADER, more: {} }));
  assert.equal(shown(tape.at(1)), "page/1/1=D1");
  assert.equal(tape.kind(1), "Odd");
});

test("events whose numbers have gaps are counted, and causes are found", () => {
  const tape = readTape(timeline([event(5, "A"), event(9, "B", [], { c: 5 }), event(11, "C", [], { c: 6 })]));
  assert.deepEqual([1, 2, 3].map((i) => tape.cause(i)), [0, 1, 0]);
});

test("a text that is no timeline says what to do", () => {
  for (const text of ["", "hello", "{}\n", "[1]\n", "null\n", '{"ondisk":"hints"}\n', "\n\n"]) {
    const error = refused(text);
    assert.match(error.message, /no timeline.*ondisk sim SCRIPT --timeline/);
    assert.equal(error.line, 1);
  }
});

test("each damage is named with its line", () => {
  const fine = [event(1, "A", [["page/1/1", "", "D1"]]), event(2, "B")];
  const cases: [string, RegExp, number][] = [
    [timeline(fine, { ...HEADER, v: 2 }), /version 2.*up to 1/, 1],
    [timeline(fine, { ...HEADER, v: 0 }), /`v`/, 1],
    [timeline(fine, { ...HEADER, seed: "x" }), /`seed`/, 1],
    [timeline(fine).replace(/\{"end".*\n/, ""), /cut off in line 4, behind 2 events/, 4],
    [timeline(fine).slice(0, -1), /cut off/, 4],
    [`${timeline(fine)}more`, /something stands behind/, 5],
    [timeline([event(1, "A"), event(1, "B")]), /`i`/, 3],
    [timeline([{ i: 1, t: 0, l: 3 }]), /`k`/, 2],
    [timeline([{ i: 1, t: -1, l: 3, k: "A" }]), /`t`/, 2],
    [timeline([event(1, "A", [["page/1/1", "D1", ""]])]), /page\/1\/1 does not hold/, 2],
    [timeline([event(1, "A", [["page/1", "", "D1"]])]), /`d`/, 2],
    [timeline([event(1, "A", [["page", "", "D1"]])]), /`d`/, 2],
    [timeline([event(1, "A", [["lba/2-1", "", "D1"]])]), /`d`/, 2],
    [timeline([event(1, "A", [["lba/1", "", "D0"]])]), /`d`/, 2],
    [timeline([event(1, "A", [["lba/1", "", "nineletters1"]])]), /`d`/, 2],
    [timeline([event(1, "A", [["lba/0-4294967295", "", "V"]])]), /more than 1048576 cells/, 2],
    [timeline([event(1, "A", [["lba/0-1048575", "", "V"], ["q/1", "", "Q"]])]), /more than 1048576 cells/, 2],
    [timeline(Array.from({ length: 257 }, (_, i) => event(i + 1, `K${i}`))), /more than 256 kinds/, 258],
    [timeline([...fine, { key: 3, cells: {} }]), /`key`/, 4],
    [timeline([...fine, { key: 2, cells: {} }]), /all cells/, 4],
    [timeline([...fine, { key: 2, cells: { "page/1/1": "D2" } }]), /page\/1\/1/, 4],
    [timeline([{ blob: "1", len: 1, b64: "QUJD" }]), /`blob`/, 2],
    [timeline([{ blob: "1", len: 3, b64: "QU?D" }]), /`b64`/, 2],
    [timeline([{ blob: "1", len: 3, b64: "QUJD" }, { blob: "1", len: 3, b64: "QUJD" }]), /`blob`/, 3],
    [ended([JSON.stringify(HEADER), '{"i":1,'], 1), /Line 2 is no JSON/, 2],
    [ended([JSON.stringify(HEADER), JSON.stringify(event(1, "A"))], 2), /`end`/, 3],
    [timeline(fine).replace(/"digest":"./, '"digest":"z'), /another digest/, 4],
  ];
  cases.forEach(([text, message, line], n) => {
    const error = refused(text);
    assert.match(error.message, message, `case ${n}`);
    assert.equal(error.line, line, `case ${n}: ${error.message}`);
  });
});

test("a key line whose runs overlap is refused", () => {
  const two = [event(1, "A", [["page/1/0-1", "", "C"]])];
  assert.ok(readTape(timeline([...two, { key: 1, cells: { "page/1/0-1": "C" } }])));
  assert.match(refused(timeline([...two, { key: 1, cells: { "page/1/0": "C", "page/1/0-0": "C" } }])).message, /all cells/);
});

test("a line that is too long is refused before it is read", () => {
  assert.match(refused(`${"{".repeat(8_388_608)}\n`).message, /longer than 8388608/);
  assert.match(refused(`${JSON.stringify(HEADER)}\n${"{".repeat(8_388_608)}`).message, /Line 2 is longer/);
  assert.match(refused(`${JSON.stringify(HEADER)}\n${"é".repeat(4_194_304)}\n`).message, /Line 2 is longer/);
});

test("reading can be watched", () => {
  const text = long(20_000, 60);
  let stops = 0;
  let last = 0;
  const reading = readingTape(text);
  for (let step = reading.next(); !step.done; step = reading.next()) {
    stops += 1;
    assert.ok(step.value > last && step.value <= 1);
    last = step.value;
  }
  assert.ok(stops > 0);
});
