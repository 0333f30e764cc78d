// Every lesson and question, asked of the module that the page has: what they say is what it does.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Bench, answerTo, holds, right } from "../src/lessons/claims.ts";
import { LESSONS, lessonBy } from "../src/lessons/index.ts";
import { type Claim, type Lesson, setupOf, type Step } from "../src/lessons/lesson.ts";
import { find } from "../src/lessons/moments.ts";
import { best, measure, rightOf } from "../src/lessons/question.ts";
import { QUESTIONS } from "../src/lessons/questions.ts";
import { figuresOf, pieces } from "../src/lessons/telling.ts";
import { Engine, speaking } from "../src/engine.ts";
import { Answers, knobsFrom, runScript } from "../src/runs.ts";
import type { Knobs } from "../src/types.ts";

const MODULE = wasmFile();

/** The module, wherever the test was bundled to. */
function wasmFile(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let up = 0; up < 8; up++) {
    for (const path of ["crates/ondisk-player/dist/ondisk.wasm", "dist/ondisk.wasm"]) {
      if (existsSync(join(folder, path))) return join(folder, path);
    }
    folder = dirname(folder);
  }
  return join(process.cwd(), "../dist/ondisk.wasm");
}

const module = new WebAssembly.Module(readFileSync(MODULE));
const engine = new Engine(() => speaking(new WebAssembly.Instance(module).exports));
const benches = new Map<string, Bench>();

function benchOf(script: string, knobs: Partial<Knobs> = {}): Bench {
  const key = JSON.stringify([script, knobs]);
  const known = benches.get(key);
  if (known) return known;
  const run = runScript(engine, "test", script, knobsFrom(knobs));
  assert.ok("tape" in run, `the script runs: ${JSON.stringify(run)}\n${script}`);
  const answers = new Answers(engine, run);
  const bench: Bench = {
    info: run.info,
    tape: run.tape,
    judge: (at, how, model) => answers.judge(at, how, model),
    recover: (at, how, choice) => answers.recover(at, how, choice),
  };
  benches.set(key, bench);
  return bench;
}

const stepBench = (lesson: Lesson, step: Step) => {
  const { script, knobs } = setupOf(lesson, step);
  return benchOf(script, knobs);
};

/** What does not hold of a lesson, in words. */
function wrongs(lesson: Lesson, bench: (step: Step) => Bench): string[] {
  return lesson.steps.flatMap((step, at) => {
    const its = bench(step);
    const moment = find(step.when, its);
    if (moment === null) return [`${lesson.id} ${at + 1}: its moment never comes`];
    const wrong = step.claims.filter((claim) => !holds(claim, moment, its));
    return wrong.map((claim) => `${lesson.id} ${at + 1}: ${told(claim, moment, its)}`);
  });
}

function told(claim: Claim, at: number, bench: Bench): string {
  const when = claim.when ? find(claim.when, bench) : at;
  const answer = when === null ? "no such moment" : answerTo(claim.ask, when, bench);
  return `${JSON.stringify(claim.ask)} at ${when} is ${JSON.stringify(answer)}, not ${JSON.stringify(claim.is)}`;
}

/** Another answer of the same kind. */
function turned(claim: Claim): Claim {
  const others: Record<string, string> = { never: "always", always: "never", sometimes: "never", yes: "no", no: "yes" };
  if (typeof claim.is === "number") return { ...claim, is: claim.is + 1 };
  return { ...claim, is: others[claim.is] ?? `${claim.is}!` };
}

/** The script without its syncs: lines and parts of lines. */
function unsynced(script: string): string {
  return script.replace(/(^|[;{])([ \t]*(@\w+[ \t]+)?)(fsync|fdatasync|fsyncdir)[ \t]+[^\s;}]+/gm, "$1").replace(/;[ \t]*(?=;|\n|\}|$)/g, "").replace(/^[ \t]*;[ \t]*/gm, "");
}

for (const lesson of LESSONS) {
  test(`${lesson.id}: every claim holds`, () => {
    assert.deepEqual(wrongs(lesson, (step) => stepBench(lesson, step)), []);
  });

  test(`${lesson.id}: no claim holds turned round`, () => {
    for (const step of lesson.steps) {
      const bench = stepBench(lesson, step);
      const at = find(step.when, bench) ?? 0;
      for (const claim of step.claims) assert.ok(!holds(turned(claim), at, bench), JSON.stringify(claim));
    }
  });

  test(`${lesson.id}: each prediction has one right answer, and it is the run's`, () => {
    for (const step of lesson.steps) {
      if (!step.predict) continue;
      const bench = stepBench(lesson, step);
      const at = find(step.when, bench);
      assert.ok(at !== null);
      const answer = answerTo(step.predict.ask, at, bench);
      assert.equal(right(step.predict.options, answer).length, 1, `${JSON.stringify(step.predict.ask)} is ${answer}`);
      if ("go" in step.predict.show) assert.ok(find(step.predict.show.go, bench) !== null);
    }
  });

  test(`${lesson.id}: each figure is there`, () => {
    for (const step of lesson.steps) {
      const bench = stepBench(lesson, step);
      const figures = figuresOf(step.figures, find(step.when, bench) ?? 0, bench);
      for (const text of [step.text, step.predict?.then ?? ""]) {
        const missing = pieces(text, figures).filter((piece) => piece.text === "…");
        assert.deepEqual(missing, [], text);
      }
      const used = `${step.text} ${step.predict?.then ?? ""}`;
      for (const name of Object.keys(figures)) assert.ok(used.includes(`{${name}}`), `${name} is told in: ${used}`);
    }
  });

  test(`${lesson.id}: it is short, plain, and each step stands on something`, () => {
    assert.ok(lesson.steps.length <= 12 && lesson.steps.length >= 3);
    assert.ok(lesson.steps.some((step) => step.predict), "it asks something");
    for (const step of lesson.steps) {
      assert.ok(step.claims.length > 0, step.text);
      for (const text of [step.text, step.predict?.then ?? "", step.predict?.question ?? ""]) {
        assert.ok(text.split(/\s+/).length <= 50, `${text.split(/\s+/).length} words: ${text}`);
        assert.doesNotMatch(text.replace(/`[^`]*`/g, ""), /[!*_<>#]/, text);
      }
    }
  });
}

test("a program that does not sync breaks each lesson that says what a sync does", () => {
  const syncing = LESSONS.filter((lesson) => lesson.steps.some((step) => /sync /.test(setupOf(lesson, step).script)));
  assert.ok(syncing.length >= 15);
  for (const lesson of syncing) {
    const wrong = wrongs(lesson, (step) => {
      const { script, knobs } = setupOf(lesson, step);
      return benchOf(unsynced(script), knobs);
    });
    const notOfMoments = wrong.filter((words) => /"(lost|at risk|rung|file|may be|cells)"/.test(words) && !/no such moment/.test(words));
    assert.ok(notOfMoments.length > 0, `${lesson.id} says nothing of bytes that depends on its syncs: ${wrong.join("; ")}`);
  }
});

test("a drive that lies breaks what is said of durable bytes", () => {
  for (const id of ["flush", "fsync-without-flush", "rename", "wal-commit", "drive-cache", "log-first", "torn-pages"]) {
    const lesson = lessonBy(id);
    assert.ok(lesson);
    const wrong = wrongs(lesson, (step) => {
      const { script, knobs } = setupOf(lesson, step);
      return benchOf(script, { ...knobs, drive: "lies" });
    });
    assert.ok(wrong.some((words) => words.includes('"lost"') || words.includes('"rung"') || words.includes('"file"')), id);
  }
});

test("there are lessons enough, each with its own name", () => {
  assert.ok(LESSONS.length >= 18);
  assert.equal(new Set(LESSONS.map((lesson) => lesson.id)).size, LESSONS.length);
  for (const { id } of LESSONS) assert.match(id, /^[a-z-]+$/);
  assert.equal(lessonBy("check"), null);
});

test("what a run does not have is not found, and no claim about it holds", () => {
  const lesson = LESSONS[0];
  assert.ok(lesson);
  const bench = benchOf(lesson.script);
  for (const when of [
    { kind: "returned", call: "fsync", no: 2 },
    { kind: "said", text: "nobody said so", no: 1 },
    { kind: "event", name: "FlushDone", says: "", no: 99 },
    { kind: "before", when: { kind: "start" } },
  ] as const) {
    assert.equal(find(when, bench), null);
    assert.ok(!holds({ when, ask: { ask: "cells", place: "page" }, is: 0 }, 0, bench));
  }
  assert.equal(answerTo({ ask: "lost", what: { record: 99 }, how: "cut", by: "ext4" }, 3, bench), null);
  assert.equal(answerTo({ ask: "file", path: "log", how: "cut", by: "a model that is none" }, 3, bench), null);
  assert.equal(answerTo({ ask: "rung", record: 0 }, 3, bench), null);
});

test("what a file may be is listed, and what was not looked at is said", () => {
  const files = (may_be: string[], exact: boolean) => ({
    ...benchOf(""),
    judge: () => ({ event: 0, how: "cut" as const, model: "", states: 1, exact, records: [], acks: [], files: [{ path: "f", by: "m", may_be, exact }] }),
  });
  const ask = { path: "f", how: "cut" as const, by: "m" };
  assert.equal(answerTo({ ...ask, ask: "file" }, 0, files(["absent", '""', '"A"'], true)), 'absent, "" or "A"');
  assert.equal(answerTo({ ...ask, ask: "file" }, 0, files(["absent"], true)), "absent");
  assert.equal(answerTo({ ...ask, ask: "file" }, 0, files(["absent"], false)), "absent, …");
  assert.equal(answerTo({ ...ask, ask: "may be", value: '"A"' }, 0, files(["absent"], true)), "no");
  assert.equal(answerTo({ ...ask, ask: "may be", value: '"A"' }, 0, files(["absent"], false)), null);
  assert.equal(answerTo({ ...ask, ask: "other", whole: ["absent"] }, 0, files(["absent"], true)), "no");
  assert.equal(answerTo({ ...ask, ask: "other", whole: ["absent"] }, 0, files(["absent"], false)), null);
  assert.equal(answerTo({ ...ask, ask: "example", whole: ["absent"] }, 0, files(["absent", '"A"'], false)), '"A"');
});

test("a file that grows commits at each sync, a written one at none", () => {
  const question = QUESTIONS.find((question) => question.id === "cheap-sync");
  assert.ok(question?.kind === "ways");
  const commits = question.ways.map((way) => measure(benchOf(way.script), question).commits);
  assert.ok(commits[1]! >= 4 && commits[3] === 0, String(commits));
});

test("there are questions enough, each with a lesson of its own", () => {
  assert.ok(QUESTIONS.length >= 10);
  assert.ok(QUESTIONS.filter((question) => question.kind === "ways").length >= 2);
  for (const question of QUESTIONS) {
    assert.ok(lessonBy(question.lesson), question.id);
    assert.doesNotMatch(question.question + question.then, /[!*_<>#]/);
  }
});

for (const question of QUESTIONS) {
  test(`question ${question.id}: one answer is right`, () => {
    if (question.kind === "ways") {
      const measures = question.ways.map((way) => measure(benchOf(way.script), question));
      assert.notEqual(best(measures), null, JSON.stringify(measures, null, 1));
      const isGood = measures.map((own) => own.early === 0 && own.broken === 0);
      assert.ok(isGood.includes(true) && new Set(measures.map((own) => own.flushes)).size > 1, JSON.stringify(measures));
      return;
    }
    const bench = benchOf(question.script, question.knobs);
    const found = rightOf(question, bench);
    assert.ok(found, `no option is right: ${answerTo(question.ask, find(question.when, bench) ?? 0, bench)}`);
    assert.equal(right(question.options, answerTo(question.ask, found.at, bench)).length, 1);
    for (const claim of question.claims) {
      assert.ok(holds(claim, found.at, bench), told(claim, found.at, bench));
      assert.ok(!holds(turned(claim), found.at, bench));
    }
    const figures = figuresOf(question.figures, found.at, bench);
    assert.deepEqual(pieces(question.then, figures).filter((piece) => piece.text === "…"), []);
  });
}
