// What the knobs make of every script of the page, run by the module itself.
import assert from "node:assert/strict";
import { readFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import builtIns from "ondisk:scripts";
import { Engine, speaking } from "../src/engine.ts";
import { Answers, DEFAULTS, runScript } from "../src/runs.ts";
import type { Run } from "../src/app.ts";
import { choose, standing } from "../src/view/hands/choose.ts";
import { knobsOf } from "../src/view/hands/command.ts";
import * as edits from "../src/view/hands/edits.ts";
import { truth, why } from "../src/view/hands/explain.ts";
import { MODELS } from "../src/view/hands/models.ts";

/** The module; the tests are run from the folder of the page's source, or from the root. */
function moduleFile(): string {
  const found = ["../dist/ondisk.wasm", "crates/ondisk-player/dist/ondisk.wasm"].map((path) => join(process.cwd(), path));
  return found.find((path) => existsSync(path)) ?? found[0] ?? "";
}

const module = new WebAssembly.Module(readFileSync(moduleFile()));
const engine = new Engine(() => speaking(new WebAssembly.Instance(module).exports));

function runs(name: string, text: string): Run {
  const run = runScript(engine, name, text, knobsOf(text));
  assert.ok("tape" in run, `${name}: ${JSON.stringify(run)}\n${text}`);
  return run;
}

const EDITS: Record<string, (text: string) => edits.Edit> = {
  "drop the flush": edits.dropFlush,
  "drop the fsync": edits.dropSync,
  fdatasync: (text) => edits.syncBy(text, "fdatasync"),
  fsync: (text) => edits.syncBy(text, "fsync"),
  "sync the directory": edits.addDirectorySync,
  "drop the directory's sync": edits.dropDirectorySync,
  "mode sync": (text) => edits.mode(text, "sync"),
  "mode batch": (text) => edits.mode(text, "batch"),
  "mode none": (text) => edits.mode(text, "none"),
  "groups of 2": (text) => edits.group(text, 2),
  "groups of 7": (text) => edits.group(text, 7),
};

for (const [what, edit] of Object.entries(EDITS)) {
  test(`whatever "${what}" makes of a script runs, and keeps its lines`, () => {
    let changed = 0;
    for (const { name, text } of builtIns) {
      const made = edit(text);
      if ("why" in made) continue;
      changed++;
      assert.equal(made.text.split("\n").length, text.split("\n").length);
      runs(name, made.text);
    }
    assert.ok(changed > 0, "it changes no script");
  });
}

test("over the network a page has its file's name too", () => {
  const { tape, names } = runs("network_file_system", builtIns.find((own) => own.name === "network_file_system")?.text ?? "");
  const pages = new Set<string>();
  for (let i = 1; i <= tape.length; i += 1) {
    for (const change of tape.changes(i)) if (change.place === "page") pages.add(names.inode(change.of, i));
  }
  assert.equal(tape.config["fs"], "nfs");
  assert.deepEqual([...pages], ["log"]);
});

test("a script's command says for which machine it was written", () => {
  const by = (name: string) => knobsOf(builtIns.find((own) => own.name === name)?.text ?? "");
  assert.equal(by("lying_drive").drive, "lies");
  assert.equal(by("ram_disk").fs, "tmpfs");
  assert.equal(by("network_file_system").fs, "nfs");
  assert.deepEqual(knobsOf("open log create\n# ondisk sim x --fs xfs\n"), DEFAULTS);
  assert.deepEqual(knobsOf("# ondisk sim x --fs fat --seed -1 --drive=capacitor"), { ...DEFAULTS, drive: "capacitor" });
});

test("mode sync keeps every promise on an honest drive, and mode none breaks one", () => {
  const text = builtIns.find(({ name }) => name === "opening")?.text ?? "";
  const acks = (mode: edits.Mode) => {
    const made = edits.mode(text, mode);
    const run = runs(mode, "text" in made ? made.text : text);
    const last = run.info.acks.at(-1)?.event ?? 0;
    return new Answers(engine, run).judge(last, "cut", "")?.acks.map(truth) ?? [];
  };
  assert.deepEqual(acks("sync"), ["never", "never"]);
  assert.ok(acks("none").every((lost) => lost !== "never"));
});

test("every fate has a reason that names no rung it was not at", () => {
  for (const { name, text } of builtIns.slice(0, 12)) {
    const run = runs(name, text);
    const answers = new Answers(engine, run);
    for (const how of ["cut", "crash", "kill"] as const) {
      for (const { event } of run.info.acks.slice(0, 3)) {
        const judged = answers.judge(event, how, "");
        assert.ok(judged !== null);
        const one = choose(run.info, event, standing(run.info, event, judged));
        const fate = judged.records.find(({ n }) => n === one?.record.n);
        if (one === null || fate === undefined) continue;
        const reason = why(one.record, one.rung, fate, judged);
        assert.match(reason, /^(It was|A ).*\.$/);
        if (one.rung !== "buffered") assert.doesNotMatch(reason, /program's own buffer/);
      }
    }
  }
});

test("the module answers to every model's name", () => {
  const run = runs("m", 'open f create\nwrite f "a"\nflush f\n');
  for (const { name } of MODELS) assert.equal(new Answers(engine, run).judge(run.info.events, "cut", name)?.model, name);
});
