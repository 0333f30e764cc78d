// The page right after it was loaded: what it asks for, what its keys do, what its link holds.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { drawn, hashOf, launch, opened, press, textOf, visit } from "./browser.mjs";
import {
  asksForNothing, complainsOfNothing, everyWayToAMomentIsTheSame, hasItsCursorAtItsThumb, hasItsPolicy, pictureOf, stepsBackAreStepsUndone, stepsChangeTheLink,
} from "./checks.mjs";
import { leaveField, writeScript } from "./screens.mjs";

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

/** Runs with a visit, which ends however that goes. */
async function during(options, what) {
  const one = await visit(browser, { reducedMotion: "reduce", ...options });
  try {
    await what(one);
    await complainsOfNothing(one);
    await asksForNothing(one);
  } finally {
    await one.close();
  }
}

test("nothing is asked of the network, and the policy says so", () =>
  during({}, async (one) => {
    await hasItsPolicy(one);
    await press(one.page, "ArrowRight", "c", "Escape", "l", "Escape", "e", "Escape", "?", "Escape");
  }));

test("without a click → and ← step, and the link follows at once", () => during({}, stepsChangeTheLink));

test("without a click Space plays and pauses", () =>
  during({}, async ({ page }) => {
    await press(page, "Home");
    const start = await hashOf(page);
    await press(page, "Space");
    await page.waitForFunction((start) => location.hash !== start, start);
    await press(page, "Space");
    const paused = await hashOf(page);
    assert.equal(await page.evaluate(() => scrollY), 0, "Space scrolled the page");
    await press(page, "ArrowRight");
    assert.notEqual(await hashOf(page), paused);
  }));

test("without a click C cuts, K kills, X crashes, and Esc comes back", () =>
  during({}, async ({ page }) => {
    await press(page, "ArrowRight", "ArrowRight", "ArrowRight");
    const alive = [await hashOf(page), await pictureOf(page)];
    const links = new Set([alive[0]]);
    for (const key of ["c", "k", "x"]) {
      await press(page, key);
      links.add(await hashOf(page));
      await press(page, "Escape");
      await drawn(page);
      assert.equal(await hashOf(page), alive[0], `Esc does not undo ${key}`);
      assert.equal(await pictureOf(page), alive[1], `Esc leaves another picture behind ${key}`);
    }
    assert.equal(links.size, 4, "each death has a link of its own");
  }));

test("while a prediction is asked for, nothing on the page answers it", () =>
  during({}, async ({ page }) => {
    // The legend shows what a loss looks like, whatever was asked.
    const lost = page.locator("#stage [data-lost]:not(.key), #ladder [data-lost], #program [data-lost]");
    const told = /(always|never|sometimes|may be) lost|This very machine|states of/;
    await press(page, "Home", "a", "c");
    await page.locator("#plug .plug-question").waitFor();
    assert.equal(await lost.count(), 0, "something looks lost");
    for (const part of ["#program", "#stage", "#ladder", "#plug"]) assert.doesNotMatch(await textOf(page, part), told, part);
    await press(page, "3");
    await page.locator("#plug .plug-grade").waitFor();
    assert.ok((await lost.count()) > 0, "nothing looks lost");
    assert.match(await textOf(page, "#plug"), told);
  }));

test("keys do nothing while a text is written", () =>
  during({}, async ({ page }) => {
    await press(page, "e");
    await page.locator("#editor textarea").focus();
    const link = await hashOf(page);
    await page.keyboard.type("c k x a b l ?");
    await press(page, "ArrowRight", "Space", "Home");
    assert.equal(await hashOf(page), link);
    assert.ok((await page.locator("#editor textarea").inputValue()).includes("c k x a b l ?"));
  }));

test("acknowledgements and barriers are jumped to and back", () =>
  during({}, async ({ page }) => {
    for (const key of ["a", "b"]) {
      await press(page, "Home");
      const links = [await hashOf(page)];
      await press(page, key);
      links.push(await hashOf(page));
      assert.notEqual(links[1], links[0], `${key} goes nowhere`);
      await press(page, key);
      const further = await hashOf(page);
      if (further !== links[1]) {
        await press(page, `Shift+${key.toUpperCase()}`);
        assert.equal(await hashOf(page), links[1], `Shift+${key} is not the way back`);
      }
    }
    await press(page, "End");
    const end = await hashOf(page);
    await press(page, "ArrowRight");
    assert.equal(await hashOf(page), end, "there is something behind the end");
  }));

test("in the opening scene each step back undoes a step", (t) =>
  during({}, async (one) => {
    const seen = await stepsBackAreStepsUndone(one);
    t.diagnostic(`${seen.events} events`);
  }));

/** Scripts of the page, each with another corner of the machine. */
const LINKS = [
  "s=wal_commit", "s=rename_without_sync", "s=failed_fsync", "s=network_file_system", "s=merge_and_reorder&scheduler=bfq",
  "s=group_commit&drive=lies", "s=fsync&fs=btrfs",
];

for (const link of LINKS) {
  test(`in ${link} every way to a moment gives the same picture`, (t) =>
    during({ hash: `#${link}` }, async (one) => {
      const seen = await everyWayToAMomentIsTheSame(one);
      t.diagnostic(`${seen.different} pictures of ${seen.events} events`);
    }));
}

test("the cursor stands where the slider's thumb does, alive and dead", () =>
  during({}, async ({ page }) => {
    for (const keys of [["End", "ArrowLeft"], ["c"], ["3"], ["Escape"], ["Home", "a"]]) {
      await press(page, ...keys);
      await drawn(page);
      await drawn(page);
      await hasItsCursorAtItsThumb({ page });
    }
  }));

test("the slider steps by its own keys, one event each", () =>
  during({}, async ({ page }) => {
    const slider = page.locator("#time input[type=range]");
    await slider.focus();
    for (const [key, at] of [["Home", "0"], ["ArrowRight", "1"], ["ArrowRight", "2"], ["ArrowLeft", "1"]]) {
      await slider.press(key);
      assert.equal(await slider.inputValue(), at, key);
    }
  }));

test("without JavaScript the table of verdicts reads", async () => {
  const { page, close } = await visit(browser, { javaScriptEnabled: false, ready: false });
  const table = page.locator("#verdicts");
  assert.ok(await table.isVisible());
  const rows = await table.locator("tbody tr").allInnerTexts();
  assert.ok(rows.length >= 5, `${rows.length} rows`);
  assert.ok(rows.every((row) => /lost|there/.test(row)), rows.join("\n"));
  assert.ok(await page.locator("noscript").first().isVisible());
  await close();
});

test("with JavaScript the table gives way to the picture", () =>
  during({}, async ({ page }) => {
    assert.ok((await textOf(page, "#stage")).length > 40, "the stage is empty");
    assert.ok((await textOf(page, "#program")).length > 40, "the program is empty");
  }));

test("a link opens the same picture in a fresh page", () =>
  during({}, async ({ page }) => {
    await press(page, "Home");
    for (const keys of [["ArrowRight", "ArrowRight"], ["a"], ["c"], ["Escape", "b", "k"]]) {
      await press(page, ...keys);
      await drawn(page);
      const wanted = await pictureOf(page);
      const fresh = await visit(browser, { hash: await hashOf(page) });
      await drawn(fresh.page);
      assert.equal(await pictureOf(fresh.page), wanted, `behind ${keys}`);
      assert.equal(await hashOf(fresh.page), await hashOf(page));
      await fresh.close();
    }
  }));

test("a link holds a script that somebody wrote, and the machine that it ran on", () =>
  during({}, async ({ page }) => {
    await writeScript(page, 'open log create\nwrite log "Äpfel & <Birnen> %20 #7"\nflush log\nack "oben" log\n');
    await page.waitForFunction(() => document.getElementById("program").innerText.includes("Birnen"));
    await leaveField(page);
    await press(page, "Home", "a", "x");
    await drawn(page);
    const fresh = await visit(browser, { hash: await hashOf(page), reducedMotion: "reduce" });
    await drawn(fresh.page);
    assert.equal(await pictureOf(fresh.page), await pictureOf(page));
    await fresh.close();
  }));

test("whatever has the focus shows it", () =>
  during({}, async ({ page }) => {
    const seen = new Set();
    for (let i = 0; i < 60; i++) {
      await press(page, "Tab");
      const { name, shows } = await page.evaluate(() => {
        const element = document.activeElement;
        const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
        const shows = (outlineStyle !== "none" && parseFloat(outlineWidth) >= 2) || boxShadow !== "none";
        const name = `${element.localName}#${element.id}.${element.className} ${element.innerText?.slice(0, 20)}`;
        return { name, shows: shows || element === document.body };
      });
      assert.ok(shows, `${name} has the focus and does not show it`);
      seen.add(name);
    }
    assert.ok(seen.size > 20, `${seen.size} places for the focus`);
  }));

test("a link that makes no sense opens the opening scene", async () => {
  for (const hash of ["#", "#nonsense", "#at=99999999999", "#%E0%A4%A", `#${"x".repeat(100_000)}`]) {
    await during({ hash }, async ({ page }) => {
      await opened(page);
      await stepsChangeTheLink({ page });
    });
  }
});
