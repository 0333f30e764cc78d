// Every lesson and every question of Check yourself, by keyboard alone, to its end.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, press, tabTo, visit } from "./browser.mjs";
import { asksForNothing, complainsOfNothing } from "./checks.mjs";
import { settled } from "./screens.mjs";

let browser;
let one;
before(async () => {
  browser = await launch();
  one = await visit(browser, { reducedMotion: "reduce" });
});
after(async () => {
  await asksForNothing(one);
  await complainsOfNothing(one);
  await browser.close();
});

const isIn = (element, selector) => element.matches(selector);

/** What the side says, and what went wrong. */
function look(page, root) {
  return page.evaluate((root) => {
    const shown = (selector) => {
      const element = document.querySelector(`${root} ${selector}`);
      return element?.checkVisibility() ? element.innerText.trim() : "";
    };
    return {
      count: shown(".lesson-count"),
      text: shown(".lesson-text"),
      off: shown(".lesson-off"),
      answer: shown(".lesson-answer"),
      asks: document.querySelector(`${root} .lesson-asked form`) !== null,
      trouble: document.getElementById("trouble").innerText.trim(),
      at: document.querySelector("#time input[type=range]").value,
    };
  }, root);
}

/** Picks the `nth` answer, and asks to see it. Where the focus is decides which way to go. */
async function predict(page, root, way, nth) {
  await tabTo(page, isIn, `${root} .lesson-asked input[type=radio]`, way);
  const before = await look(page, root);
  await press(page, "Space");
  for (let i = 0; i < nth; i++) await press(page, "ArrowDown");
  assert.equal((await look(page, root)).at, before.at, "arrows among the answers moved the time");
  assert.equal(await page.locator(`${root} .lesson-asked input:checked`).count(), 1);
  await tabTo(page, isIn, `${root} .lesson-asked button[type=submit]`);
  await press(page, "Enter");
  await page.waitForFunction((root) => {
    const answer = document.querySelector(`${root} .lesson-answer strong`);
    return answer?.checkVisibility() && answer.innerText.trim() !== "";
  }, root);
  const { answer, trouble } = await look(page, root);
  assert.match(answer, /^(Right|No|Not)/, "the answer does not say whether it was right");
  assert.ok(answer.length > 20, `it says no more than: ${answer}`);
  assert.doesNotMatch(answer, /\{|undefined|NaN|null/);
  assert.equal(trouble, "");
}

async function toTheEndOf(page, id, at) {
  await press(page, "l");
  await tabTo(page, isIn, `#lessons [data-lesson="${id}"]`);
  await press(page, "Enter");
  let predictions = 0;
  for (let step = 1; ; step++) {
    await page.waitForFunction((step) => {
      const count = document.querySelector("#lessons .lesson-count");
      return count?.checkVisibility() && count.innerText.startsWith(`Step ${step} of`);
    }, step);
    await settled(page);
    const now = await look(page, "#lessons");
    assert.ok(now.text.length > 20, `step ${step} says nothing`);
    assert.doesNotMatch(now.text, /\{|undefined|NaN|null/, `step ${step}`);
    assert.equal(now.off, "", `step ${step} is off its own path`);
    assert.equal(now.trouble, "");
    if (now.asks) {
      await predict(page, "#lessons", step === 1 ? "Tab" : "Shift+Tab", (at + step) % 2);
      predictions += 1;
    }
    const steps = Number(now.count.split(" of ")[1]);
    if (step === steps) return { steps, predictions };
    await tabTo(page, isIn, "#lessons .lesson-turn .primary");
    await press(page, "Enter");
  }
}

test("every lesson is gone through to its end", async (t) => {
  const ids = await one.page.locator("#lessons [data-lesson]").evaluateAll((all) => all.map((button) => button.dataset.lesson));
  assert.ok(ids.length >= 20, `${ids.length} lessons`);
  for (const [at, id] of ids.entries()) {
    await t.test(`lesson ${id} by keyboard`, async () => {
      const { steps, predictions } = await toTheEndOf(one.page, id, at);
      assert.ok(steps >= 3, `${steps} steps`);
      assert.ok(predictions >= 1, "it asks for no prediction");
      await press(one.page, "Escape", "Escape", "Escape");
    });
  }
});

test("every question of check yourself is answered", async (t) => {
  const { page } = one;
  const ids = await page.locator("#quiz [data-question]").evaluateAll((all) => all.map((button) => button.dataset.question));
  assert.ok(ids.length >= 8, `${ids.length} questions`);
  for (const [at, id] of ids.entries()) {
    await t.test(`question ${id} by keyboard`, async () => {
      await press(page, "l");
      await tabTo(page, isIn, `#quiz [data-question="${id}"]`);
      await press(page, "Enter");
      await page.locator("#quiz form").waitFor();
      await predict(page, "#quiz", "Tab", at % 2);
      await page.locator("#quiz .quiz-more button").waitFor();
      await press(page, "Escape", "Escape", "Escape");
    });
  }
});
