// The draft: what is original, what was changed, and where one is after it ran.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { App, Changed, Listener, State } from "../src/app.ts";
import type { Knobs, RunInfo, Source } from "../src/types.ts";
import * as config from "../src/view/hands/configuration.ts";
import { Draft } from "../src/view/hands/draft.ts";
import { MODELS, about } from "../src/view/hands/models.ts";
import { offsetOf } from "../src/view/editor.ts";

const KNOBS: Knobs = { fs: "ext4", mount: "ordered", scheduler: "none", drive: "volatile", profile: "rust", seed: "1" };

/** A store without a machine: a line of the script takes ten events, and `bad` does not run. */
class Fake {
  state = { moment: { source: { kind: "built-in", name: "b" }, knobs: KNOBS, at: 0 }, run: null, error: null } as unknown as State;
  readonly loads: { source: Source; at: number }[] = [];
  private readonly listeners: Listener[] = [];

  constructor() {
    this.enter({ kind: "built-in", name: "b" }, "one\ntwo\nthree", KNOBS, 0);
  }

  get app(): App {
    return this as unknown as App;
  }

  on(listener: Listener): () => void {
    this.listeners.push(listener);
    return () => undefined;
  }

  async load(source: Source, knobs: Knobs, at: number): Promise<void> {
    await Promise.resolve();
    this.loads.push({ source, at });
    const text = source.kind === "script" ? source.text : "one\ntwo\nthree";
    if (text.includes("bad")) this.set({ error: { line: 1, column: 1, what: "bad" } }, "error");
    else this.enter(source, text, knobs, at);
  }

  async change(knobs: Partial<Knobs>): Promise<void> {
    const { moment, run } = this.state;
    this.enter(moment.source, run?.script ?? "", { ...moment.knobs, ...knobs }, 0);
    await Promise.resolve();
  }

  go(at: number): void {
    this.set({ moment: { ...this.state.moment, at } }, "at");
  }

  enter(source: Source, text: string, knobs: Knobs, at: number): void {
    const lines = text.split("\n").map((_, n): [number, number, number] => [n * 10 + 1, 0, n + 1]);
    const info = { lines, events: lines.length * 10 } as unknown as RunInfo;
    const run = { name: source.name, script: text, knobs, info, tape: { script: "" } } as unknown as State["run"];
    this.set({ run, error: null, moment: { ...this.state.moment, source, knobs, at } }, "run");
  }

  private set(part: Partial<State>, ...changed: Changed[]): void {
    this.state = { ...this.state, ...part };
    for (const listener of this.listeners) listener(this.state, new Set(changed));
  }
}

test("what was opened is the original, whatever ran since", async () => {
  const fake = new Fake();
  const draft = Draft.of(fake.app);
  assert.equal(draft, Draft.of(fake.app), "there is one of a page");
  assert.ok(draft.isOriginal && !draft.isChanged);
  draft.type("one\nthree");
  assert.ok(draft.isChanged && !draft.isOriginal);
  await draft.run("start");
  assert.ok(!draft.isChanged && !draft.isOriginal);
  assert.deepEqual(fake.loads.at(-1)?.source, { kind: "script", name: "b, changed", text: "one\nthree" });
  await draft.restore();
  assert.ok(draft.isOriginal);
  assert.deepEqual(fake.loads.at(-1)?.source, { kind: "built-in", name: "b" });
});

test("a machine that was changed is not the original, and comes back with it", async () => {
  const fake = new Fake();
  const draft = Draft.of(fake.app);
  fake.go(15);
  await draft.change({ drive: "lies" });
  assert.ok(!draft.isOriginal);
  assert.equal(fake.state.moment.at, 15);
  await draft.restore();
  assert.equal(fake.state.moment.knobs.drive, "volatile");
});

test("a fork stays at its line, a run from the start does not", async () => {
  const fake = new Fake();
  const draft = Draft.of(fake.app);
  fake.go(25);
  draft.type("zero\none\ntwo\nthree");
  await draft.run("here");
  assert.equal(fake.state.moment.at, 35);
  await draft.run("start");
  assert.equal(fake.state.moment.at, 0);
});

test("a text that does not run stays in the editor, and the place stays", async () => {
  const fake = new Fake();
  const draft = Draft.of(fake.app);
  fake.go(15);
  draft.type("bad");
  await draft.run("here");
  assert.equal(draft.text, "bad");
  assert.equal(fake.state.moment.at, 15);
  assert.ok(draft.isChanged);
});

test("a file is the original from its opening on, even when it does not run", async () => {
  const fake = new Fake();
  const draft = Draft.of(fake.app);
  await draft.open("f", "bad");
  assert.equal(draft.text, "bad");
  assert.ok(draft.isOriginal);
  fake.enter({ kind: "built-in", name: "c" }, "other", KNOBS, 0);
  assert.equal(draft.text, "other", "somebody else opened something");
});

test("a place in a text is found by line and column", () => {
  const text = "ab\nc🙂d\ne";
  assert.equal(offsetOf(text, 1, 1), 0);
  assert.equal(text.slice(offsetOf(text, 2, 3)), "d\ne");
  assert.equal(offsetOf(text, 9, 9), text.length);
  assert.equal(offsetOf(text, 0, 0), 0);
});

test("mount words are a mode and switches", () => {
  assert.deepEqual([...config.mounted("writeback,nodelalloc").on], ["nodelalloc"]);
  assert.equal(config.mounted("writeback,nodelalloc").data, "writeback");
  assert.equal(config.mounted("dioread_lock").data, "ordered");
  assert.equal(config.mount("journal", new Set(["nodelalloc", "dioread_lock"])), "journal,dioread_lock,nodelalloc");
});

test("knobs without a say tell why", () => {
  assert.equal(config.silent("mount", "ext4"), "");
  assert.match(config.silent("mount", "xfs"), /ext4/);
  assert.match(config.silent("drive", "tmpfs"), /no drive/);
  assert.match(config.silent("scheduler", "btrfs"), /set of outcomes/);
  assert.equal(config.silent("drive", "posix"), "");
});

test("a seed is a number of 64 bits", () => {
  assert.equal(config.seed(" 007 "), "7");
  assert.equal(config.seed("18446744073709551615"), "18446744073709551615");
  for (const odd of ["18446744073709551616", "-1", "1e3", "", "0x10", "99999999999999999999999"]) assert.equal(config.seed(odd), null);
});

test("there are nine models, each with its half-sentence", () => {
  assert.equal(MODELS.length, 9);
  assert.ok(MODELS.every(({ name }) => about(name) !== ""));
  assert.equal(about("fat"), "");
});
