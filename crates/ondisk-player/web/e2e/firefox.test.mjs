// The page in Debian's firefox: it runs the machine, steps, cuts and comes back.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { FILE } from "./browser.mjs";
import { startFirefox } from "./marionette.mjs";

/** Keys as WebDriver writes them. */
const [LEFT, RIGHT, HOME, ESCAPE] = ["\uE012", "\uE014", "\uE011", "\uE00C"];

const LOOK = `return {
  link: location.hash,
  events: Number(document.querySelector("#time input[type=range]").max),
  program: document.getElementById("program").innerText,
  stage: document.getElementById("stage").innerText,
  plug: document.getElementById("plug").innerText,
  asked: performance.getEntriesByType("resource").length,
}`;

/** Answers when a condition holds; looks at each frame. */
const UNTIL = `
  const [condition, done] = arguments;
  const holds = new Function("return " + condition);
  const look = () => (holds() ? done(true) : requestAnimationFrame(look));
  look();`;

let firefox;
before(async () => { firefox = await startFirefox(); });
after(() => firefox.close());

test("in firefox the machine runs, steps, dies and comes back", async () => {
  await firefox.go(pathToFileURL(FILE).href);
  await firefox.wait(UNTIL, "document.documentElement.hasAttribute('data-ready')");
  await firefox.press(HOME);
  const first = await firefox.run(LOOK);
  assert.ok(first.events > 10, `${first.events} events`);
  assert.ok(first.program.length > 40, "the program is empty");
  for (let i = 0; i < 12; i++) await firefox.press(RIGHT);
  const further = await firefox.run(LOOK);
  assert.notEqual(further.link, first.link);
  assert.notEqual(further.stage, first.stage);
  await firefox.press("c");
  const dead = await firefox.run(LOOK);
  assert.notEqual(dead.link, further.link, "nothing died");
  assert.notEqual(dead.plug, further.plug, "nobody says what survives");
  await firefox.press(ESCAPE);
  for (let i = 0; i < 12; i++) await firefox.press(LEFT);
  const back = await firefox.run(LOOK);
  assert.equal(back.link, first.link);
  assert.equal(back.stage, first.stage);
  assert.equal(back.asked, 0, "the page asks for something");
});
