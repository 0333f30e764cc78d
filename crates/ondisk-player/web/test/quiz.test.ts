// Which way is best, what is said of a choice, and sentences with figures; the questions themselves
// are asked of the module in lessons.test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { duration, right } from "../src/lessons/claims.ts";
import { LOST, YES_NO } from "../src/lessons/lesson.ts";
import { best, type Measure } from "../src/lessons/question.ts";
import { QUESTIONS } from "../src/lessons/questions.ts";
import { pieces, plain, verdict } from "../src/lessons/telling.ts";

const way = (part: Partial<Measure>): Measure =>
  ({ records: 4, told: 4, syncs: 4, flushes: 4, commits: 0, ns: 1000, early: 0, broken: 0, ...part });

test("the best way is safe first, then cheap", () => {
  assert.equal(best([way({}), way({ flushes: 1 })]), 1);
  assert.equal(best([way({}), way({ flushes: 1, early: 1 })]), 0);
  assert.equal(best([way({}), way({ flushes: 0, broken: 1 })]), 0);
  assert.equal(best([way({ commits: 4 }), way({ commits: 0 })]), 1);
  assert.equal(best([way({ ns: 900 }), way({})]), 0);
});

test("where no way is safe, or two are the same, none is best", () => {
  assert.equal(best([]), null);
  assert.equal(best([way({ early: 4 }), way({ broken: 1 })]), null);
  assert.equal(best([way({}), way({})]), null);
  assert.equal(best([way({}), way({ flushes: 9 }), way({})]), null);
});

test("an answer that nothing gave makes no option right", () => {
  assert.deepEqual(right(LOST, null), []);
  assert.deepEqual(right(LOST, "perhaps"), []);
  assert.deepEqual(right(YES_NO, "no"), [YES_NO[1]]);
});

test("what is said of a choice", () => {
  assert.equal(verdict(LOST[0], LOST[0]), "Right: never.");
  assert.equal(verdict(LOST[2], LOST[0]), "No. The run says: never.");
  assert.equal(verdict(LOST[2], undefined), "The run does not say.");
  assert.equal(verdict(undefined, LOST[1]), "No. The run says: sometimes.");
});

test("figures take their places, and what is missing is shown as such", () => {
  const text = "`fsync` took {took}, {none}.";
  const figures = { took: "1.87 ms", none: null };
  assert.equal(plain(text, figures), "fsync took 1.87 ms, ….");
  assert.deepEqual(pieces(text, figures).map((piece) => piece.kind), ["code", "words", "figure", "words", "figure", "words"]);
  assert.equal(plain("{n} of {n}", { n: 0 }), "0 of 0");
});

test("a duration has three figures", () => {
  assert.deepEqual([0, 300, 1877, 1_877_300, 5_001_279_000].map(duration), ["0 ns", "300 ns", "1.88 µs", "1.88 ms", "5.00 s"]);
});

test("each question has its own name, and options that differ", () => {
  assert.equal(new Set(QUESTIONS.map((question) => question.id)).size, QUESTIONS.length);
  for (const question of QUESTIONS) {
    const texts = question.kind === "ways" ? question.ways.map((one) => one.text) : question.options.map((one) => one.text);
    assert.ok(texts.length >= 2 && texts.length <= 4, question.id);
    assert.equal(new Set(texts).size, texts.length, question.id);
  }
});
