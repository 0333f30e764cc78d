// Files that somebody opens or drops, scripts that somebody writes, and a browser that cannot run
// the machine: what is wrong is said, and the page goes on.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { drawn, hashOf, launch, press, textOf, visit } from "./browser.mjs";
import { asksForNothing, complainsOfNothing, stepsBackAreStepsUndone, stepsChangeTheLink } from "./checks.mjs";
import { leaveField, writeScript } from "./screens.mjs";
import { hostile, long, markup } from "./timelines.mjs";

let browser;
let folder;
before(async () => {
  browser = await launch();
  folder = await mkdtemp(join(tmpdir(), "ondisk-files-"));
});
after(async () => {
  await browser.close();
  await rm(folder, { recursive: true });
});

async function during(options, what) {
  const one = await visit(browser, { reducedMotion: "reduce", ...options });
  try {
    await what(one);
    await asksForNothing(one);
    await complainsOfNothing(one);
  } finally {
    await one.close();
  }
}

/** Chooses a file as a person does. */
async function choose(page, name, content) {
  const path = join(folder, name);
  await writeFile(path, content);
  await page.locator("input[type=file]").first().setInputFiles(path);
}

/** Lets a file fall onto the page. */
async function drop(page, name, content) {
  const base64 = Buffer.from(content).toString("base64");
  await page.evaluate(([name, base64]) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name));
    for (const kind of ["dragenter", "dragover", "drop"]) {
      document.getElementById("stage").dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
    }
  }, [name, base64]);
}

/** Waits for the message, and for what it has to say. */
async function says(page, pattern) {
  const message = page.locator("#trouble:visible, #files .file-message:visible").first();
  await message.waitFor();
  const text = await message.innerText();
  assert.match(text, pattern);
  assert.ok(text.length < 400, "the message is as long as the file");
}

for (const [what, content, pattern] of hostile()) {
  test(`a timeline ${what} is refused in words, and the page goes on`, () =>
    during({}, async (one) => {
      const give = content.length > 1 << 20 ? choose : drop;
      await give(one.page, "given.timeline", content);
      await says(one.page, pattern);
      await stepsChangeTheLink(one);
    }));
}

test("markup in a timeline stays text", () =>
  during({}, async (one) => {
    const { page } = one;
    await drop(page, '<img src=x onerror="document.title=1">.timeline', markup());
    await page.waitForFunction(() => document.body.innerText.includes("onerror"));
    await press(page, "Home");
    for (let i = 0; i < 6; i++) {
      await press(page, "ArrowRight");
      await drawn(page);
    }
    assert.equal(await page.evaluate(() => document.querySelectorAll("main img, main script").length), 0);
    assert.match(await page.title(), /ondisk/);
    await stepsBackAreStepsUndone(one);
  }));

/** A page that the crate made, with a script in it: whoever runs these tests may give one. */
const GIVEN = process.env.ONDISK_GIVEN_PAGE;

test("a page that was made with a script opens at its moment, and the script stays text", { skip: GIVEN === undefined }, () =>
  during({ file: GIVEN }, async ({ page }) => {
    assert.ok((await textOf(page, "#program")).includes("</script><!--<script>"));
    assert.equal(await page.locator("#time input[type=range]").inputValue(), "5");
    assert.match(await hashOf(page), /\bat=5\b.*\bdie=cut\b/);
    assert.equal(await page.evaluate(() => document.querySelectorAll("main img").length), 0);
    assert.match(await page.title(), /is it on disk/);
  }));

test("markup in a script stays text", () =>
  during({}, async (one) => {
    const { page } = one;
    const mark = "<img src=x onerror=document.title=1>";
    await writeScript(page, `open "a${mark}" create\nwrite "a${mark}" "${mark}"\nflush "a${mark}"\nack "${mark}"\n`);
    await page.waitForFunction((mark) => document.getElementById("program").innerText.includes(mark), mark);
    await leaveField(page);
    for (const key of ["End", "c", "Escape", "Home", "a"]) {
      await press(page, key);
      await drawn(page);
    }
    assert.equal(await page.evaluate(() => document.querySelectorAll("main img").length), 0);
    assert.match(await page.title(), /ondisk/);
  }));

test("a script that would go on and on is stopped, and that is said", () =>
  during({}, async (one) => {
    const { page } = one;
    await writeScript(page, 'open log create\nrepeat 30000 { write log "x"; flush log; fsync log }\n');
    await page.waitForFunction(() => Number(document.querySelector("#time input[type=range]").max) > 100_000, null, { timeout: 60_000 });
    await page.waitForFunction(() => /stopped|limit|at most/i.test(document.body.innerText));
    await leaveField(page);
    await stepsChangeTheLink(one);
  }));

test("a script with more steps than can be is refused where it says so", () =>
  during({}, async (one) => {
    const { page } = one;
    await writeScript(page, "repeat 1000 { repeat 1000 { sync } }\n");
    const message = page.locator("#editor-error:visible");
    await message.waitFor();
    assert.match(await message.innerText(), /1000000 steps/);
    await leaveField(page);
    await stepsChangeTheLink(one);
  }));

test("a given timeline is stepped to the end and back", () =>
  during({}, async (one) => {
    await choose(one.page, "long.timeline", long(200));
    await one.page.waitForFunction(() => document.querySelector("#time input[type=range]").max === "200");
    const seen = await stepsBackAreStepsUndone(one, 500);
    assert.equal(seen.events, 200);
  }));

test("a timeline of a million events opens and is stepped", { timeout: 120_000 }, () =>
  during({}, async (one) => {
    const { page } = one;
    await choose(page, "million.timeline", long(1_000_000));
    await page.waitForFunction(() => {
      const slider = document.querySelector("#time input[type=range]");
      return Number(slider?.max) >= 1_000_000;
    }, null, { timeout: 100_000 });
    await press(page, "End");
    const end = await hashOf(page);
    await press(page, "ArrowLeft");
    assert.notEqual(await hashOf(page), end);
    await press(page, "ArrowRight");
    assert.equal(await hashOf(page), end);
    await stepsChangeTheLink(one);
  }));

test("where the machine cannot run, a timeline plays and the page says why the rest does not", () =>
  during({ init: [() => { delete globalThis.WebAssembly; }], ready: false }, async (one) => {
    const { page } = one;
    await page.waitForFunction(() => /WebAssembly/.test(document.body.innerText));
    await drop(page, "given.timeline", long(200));
    await page.waitForFunction(() => document.querySelector("#time input[type=range]").max === "200");
    await stepsBackAreStepsUndone(one, 100);
    await press(page, "e");
    const off = await page.evaluate(() =>
      [...document.querySelectorAll("#panel-change textarea, #panel-change select, #panel-change input, #panel-change button")]
        .filter((control) => control.checkVisibility())
        .filter((control) => !control.matches(":disabled, [aria-disabled=true], [readonly]"))
        .map((control) => control.outerHTML.slice(0, 100)));
    assert.deepEqual(off, [], "something can be changed, and nothing would come of it");
    assert.match(await textOf(page, "#panel-change"), /WebAssembly/);
  }));
