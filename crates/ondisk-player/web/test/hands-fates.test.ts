// Which record is asked about, what is said of its fate, and where one is after a change.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Death, Fate, Judged, Lost, Recovered, Rung, RunInfo } from "../src/types.ts";
import { choose, promised, rungsAt, standing } from "../src/view/hands/choose.ts";
import { ANSWERS, DEATHS, graded, looked, promise, truth, why } from "../src/view/hands/explain.ts";
import { fileName, tell } from "../src/view/hands/kinds.ts";
import { lineMap, placeIn } from "../src/view/hands/place.ts";
import { stages } from "../src/view/hands/recovery.ts";

function info(ladder: RunInfo["ladder"], acks: RunInfo["acks"] = []): RunInfo {
  const records = [1, 2, 3].map((n) => ({ n, task: 0, line: n, file: "log", text: `r${n}`, bytes: 2, offset: n * 2 }));
  return {
    level: "machine", model: "ext4", tasks: ["A"], events: 100, lines: [], calls: [], records, ladder,
    ladder_until: 100, acks, deaths: [], notes: [], unmet: [],
  };
}

function fate(n: number, machine: Lost, model: Lost | null, lost = "", survives = ""): Fate {
  return { n, machine, model, survives, lost };
}

function judged(how: Death, records: Fate[], exact = true): Judged {
  return { event: 50, how, model: "ext4", states: 12, exact, records, acks: [], files: [] };
}

const ALL = judged("cut", [1, 2, 3].map((n) => fate(n, "sometimes", "sometimes")));
const picked = (run: RunInfo, at: number) => choose(run, at, standing(run, at, ALL))?.record.n;

test("the newest record on its way is asked about", () => {
  const run = info([[10, 1, "cached"], [20, 2, "cached"], [30, 1, "durable"], [35, 3, "buffered"], [40, 2, "device"]]);
  assert.equal(picked(run, 36), 2);
  assert.equal(picked(run, 45), 2);
  assert.equal(picked(run, 12), 1);
});

test("then the newest in a buffer, then the newest of all; what is gone is not asked about", () => {
  assert.equal(picked(info([[1, 1, "durable"], [2, 2, "buffered"], [3, 3, "durable"]]), 9), 2);
  assert.equal(picked(info([[1, 1, "durable"], [2, 2, "durable"], [3, 3, "gone"]]), 9), 2);
  assert.equal(choose(info([]), 0, []), null);
});

test("a promise that is not durable comes before others in buffers", () => {
  const ack = { n: 1, text: "x", task: 0, line: 1, event: 5, files: [], records: [1] };
  const run = info([[1, 1, "buffered"], [2, 2, "buffered"], [3, 3, "buffered"]], [ack]);
  assert.equal(picked(run, 9), 1);
  assert.equal(picked(run, 4), 3, "not before it was given");
  assert.deepEqual(promised(run, 4, 1), []);
});

test("the choice does not look at the answer", () => {
  const run = info([[1, 1, "cached"], [2, 2, "device"], [3, 3, "buffered"]]);
  const asked = (["never", "sometimes", "always"] as Lost[]).map((lost) => {
    const answers = judged("cut", [1, 2, 3].map((n) => fate(n, lost, lost)));
    return choose(run, 9, standing(run, 9, answers))?.record.n;
  });
  assert.deepEqual(asked, [2, 2, 2]);
});

test("rungs behind what is known are not guessed", () => {
  const run = { ...info([[1, 1, "cached"]]), ladder_until: 5 };
  assert.equal(standing(run, 9, ALL)[0]?.rung, null);
  assert.equal(standing({ ...run, level: "operations" }, 3, ALL)[0]?.rung, "cached");
  assert.equal(rungsAt(run, 0).size, 0);
});

const LOG = info([]).records[0];

function said(how: Death, rung: Rung | null, lost: Lost, example = "", survives = "", exact = true): string {
  assert.ok(LOG !== undefined);
  return why(LOG, rung, fate(1, lost, lost, example, survives), judged(how, [], exact));
}

test("each rung has its reason", () => {
  assert.equal(said("kill", "buffered", "always"), "It was in the program's own buffer: a kill takes the process and its buffer with it.");
  assert.match(said("kill", "cached", "never"), /in the page cache, .*: a kill takes the process, and the kernel writes on\.$/);
  assert.match(said("crash", "cached", "sometimes"), /a crash takes it, unless write-back has been quicker/);
  assert.match(said("crash", "device", "never"), /the drive keeps its power/);
  assert.match(said("cut", "device", "always"), /only in its volatile cache: a cut empties that cache, and no FLUSH/);
  assert.match(said("cut", "durable", "never"), /a power cut does not reach that far/);
  assert.match(said("cut", "durable", "sometimes"), /but ext4 does not promise it/);
  assert.match(said("cut", null, "always"), /^A power cut takes it in every state/);
  assert.match(said("cut", "cached", "never", "", "", false), /was not seen to take it/);
});

test("what is there in its place is told from the example", () => {
  assert.match(said("cut", "cached", "sometimes", "absent", '"r1"'), /The name log is not durable yet/);
  assert.match(said("cut", "cached", "sometimes", "zeros 2", '"r1"'), /length of log is there before its bytes: .* zeros\.$/);
  assert.match(said("cut", "cached", "sometimes", "log is junk", '"r1"'), /somebody's former bytes/);
  assert.match(said("cut", "cached", "sometimes", "partial", '"r1"'), /may be torn/);
  assert.match(said("cut", "cached", "always", 'log is ""'), /the file is empty\.$/);
  assert.match(said("cut", "cached", "sometimes", "log is zeros 4", 'log is "r1" + zeros 2'), /In its place are zeros\.$/);
  assert.match(said("cut", "cached", "sometimes", 'config is "v1"', 'config is "v2"'), /The name config does not stand for it yet/);
  assert.match(said("cut", "cached", "always", "log is absent"), /Nothing is under the name log then\.$/);
  assert.doesNotMatch(said("cut", "cached", "sometimes", 'my zeros is "x"', '"r1"'), /In their place|In its place/i);
  assert.doesNotMatch(said("cut", "cached", "sometimes", '"absent zeros 3 junk"', '"r1"'), /name log|zeros|former/);
});

test("a prediction is held against the model, and the machine is told beside it", () => {
  const run = judged("cut", []);
  assert.equal(graded("sometimes", fate(1, "sometimes", "sometimes"), run), "Right: it may be lost.");
  assert.match(graded("sometimes", fate(1, "never", "sometimes"), run), /^Right.*This very machine, seed and all: never lost\.$/);
  assert.match(graded("never", fate(1, "never", "sometimes"), run), /^Right for this very machine .* ext4 allows more/);
  assert.equal(graded("always", fate(1, "never", null), run), "No: you said “always lost”, and it is never lost.");
  assert.equal(truth(fate(1, "always", null)), "always");
  assert.deepEqual(ANSWERS.map(({ key, lost }) => key + lost), ["1never", "2sometimes", "3always"]);
});

test("how much was looked at, and what a promise comes to", () => {
  assert.match(looked(judged("cut", [])), /^12 states of ext4 looked at; nothing is left open\.$/);
  assert.match(looked(judged("cut", [], false)), /there are more/);
  assert.match(looked({ ...judged("cut", []), model: "", states: 1 }), /^1 way of this machine to die/);
  assert.deepEqual((["never", "sometimes", "always"] as Lost[]).map((lost) => promise(fate(1, lost, null))), ["kept", "may be broken", "broken"]);
  assert.equal(Object.keys(DEATHS).length, 3);
});

test("recovery goes from the journal to the verdict", () => {
  const found: Recovered = {
    event: 9, how: "cut", journal: [{ tid: 3, blocks: 1, whole: true }, { tid: 4, blocks: 2, whole: false }],
    files: [{ path: "wal", is: '"a"', bytes: 1 }],
    logs: [{ path: "wal", torn: true, transactions: [{ name: "T1", records: ["a"], committed: true }, { name: "T2", records: [], committed: false }] }],
    records: [], acks: [{ n: 1, kept: true }, { n: 2, kept: false }], steps: [{ layer: 4, kind: "Replayed", words: "block 7" }, { layer: 4, kind: "Mounted", words: "" }, { layer: 4, kind: "Odd", words: "" }],
  };
  const ack = { n: 2, text: "paid", task: 0, line: 1, event: 5, files: [], records: [] };
  const told = stages(found, info([], [{ ...ack, n: 1, text: "got" }, ack]));
  assert.deepEqual(told.map(({ kind }) => kind), ["boot", "replayed", "dropped", "moved", "moved", "applied", "left", "left", "file", "kept", "broken"]);
  assert.deepEqual(told.filter(({ kind }) => kind === "moved").map(({ words }) => words), ["Replayed: block 7.", "The file system is mounted."]);
  assert.match(told.at(-1)?.words ?? "", /Promise broken: “paid”/);
  assert.equal(stages({ ...found, acks: [] }, info([])).at(-1)?.kind, "plain");
});

const bytes = (text: string) => new TextEncoder().encode(text);
const kind = (text: string, size = bytes(text).length) => {
  const told = tell(size, bytes(text).slice(0, 512));
  return told.kind === "none" ? told.why : told.kind;
};

test("a file is told by its first bytes", () => {
  assert.equal(kind('{"ondisk":"timeline","v":1}\n'), "timeline");
  assert.equal(kind('{"ondisk":"timeline","v":9}\n', 150_000_000), "timeline");
  assert.equal(kind("open log create\n"), "script");
  assert.equal(kind("# à propos\n"), "script");
  assert.match(kind('{"ondisk":"sim"}'), /no timeline/);
  assert.match(kind("[1]"), /JSON/);
  assert.match(kind("<script>alert(1)</script>"), /marked-up/);
  assert.match(kind(""), /empty/);
  assert.match(kind("x", 200_000_001), /201 million bytes; more than 200 million/);
  assert.match(kind("x", 300_000), /too long for a script: 300,000 bytes/);
});

test("what is no text is not read", () => {
  const odd = (...head: number[]) => tell(head.length, new Uint8Array(head));
  assert.match(JSON.stringify(odd(0x1f, 0x8b, 8)), /gzip/);
  assert.match(JSON.stringify(odd(0xff, 0xfe, 0x61, 0)), /UTF-16/);
  assert.match(JSON.stringify(odd(0x61, 0, 0x62)), /no text/);
  assert.match(JSON.stringify(odd(0xc3, 0x28)), /no text/);
  assert.equal(tell(513, new Uint8Array([...new Array<number>(511).fill(0x61), 0xc3])).kind, "script", "cut in a character");
});

test("a name to save under holds no path", () => {
  assert.equal(fileName("../../etc/passwd", ".ondisk"), "etc-passwd.ondisk");
  assert.equal(fileName("wal_commit.ondisk", ".ondisk"), "wal_commit.ondisk");
  assert.equal(fileName("…", ".jsonl"), "script.jsonl");
});

const at = (lines: [number, number, number][], events: number): RunInfo => ({ ...info([]), lines, events });

test("a place is kept where nothing before it changed", () => {
  const old = at([[1, 0, 1], [10, 0, 2], [20, 0, 3]], 30);
  const now = at([[1, 0, 1], [10, 0, 2], [22, 0, 4]], 40);
  assert.equal(placeIn(old, 15, now, (n) => n), 15);
  assert.equal(placeIn(old, 0, now, (n) => n), 0);
  assert.equal(placeIn(old, 30, at([[1, 0, 1], [10, 0, 2], [20, 0, 3]], 50), (n) => n), 30, "the last line takes longer");
});

test("else it is the same line, as often run, and as far into it", () => {
  const old = at([[1, 0, 1], [10, 0, 2], [20, 0, 2], [30, 0, 3]], 40);
  const now = at([[1, 0, 1], [5, 0, 2], [9, 0, 2], [12, 0, 3]], 20);
  assert.equal(placeIn(old, 21, now, (n) => n), 10);
  assert.equal(placeIn(old, 29, now, (n) => n), 11, "at the end of a line it stays at its end");
  const longer = at([[1, 0, 1], [15, 0, 2], [45, 0, 3]], 60);
  assert.equal(placeIn(at([[1, 0, 1], [10, 0, 2], [20, 0, 3]], 30), 19, longer, (n) => n), 44, "of a line that takes longer too");
  assert.equal(placeIn(old, 40, now, (n) => n), 20);
  assert.equal(placeIn(old, 35, at([[1, 0, 1], [5, 0, 2], [9, 0, 2]], 11), (n) => n), 11, "a line that is no more");
});

test("lines are found again around a change", () => {
  const map = lineMap("a\nb\nc\nd", "a\nb2\nb3\nc\nd");
  assert.deepEqual([1, 2, 3, 4].map(map), [1, 2, 4, 5]);
});
