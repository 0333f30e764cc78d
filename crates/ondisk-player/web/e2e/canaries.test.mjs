// Pages that were broken on purpose: the check that is named has to notice.
//
// Invariant: each fault is seen by its own check, and the same check holds where nothing is broken;
// so no check here passes or fails whatever it is given.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { FILE, launch, visit } from "./browser.mjs";
import {
  asksForNothing, complainsOfNothing, everyWayToAMomentIsTheSame, fitsItsWidth, hasItsCursorAtItsThumb, hasItsPolicy, hasLargeTargets, isAccessible, standsStill,
  stepsBackAreStepsUndone, stepsChangeTheLink,
} from "./checks.mjs";

let browser;
let folder;
before(async () => {
  browser = await launch();
  folder = await mkdtemp(join(tmpdir(), "ondisk-canaries-"));
});
after(async () => {
  await browser.close();
  await rm(folder, { recursive: true });
});

const PHONE = { viewport: { width: 320, height: 640 } };
const STILL = { reducedMotion: "reduce" };
const POLICY = /<meta http-equiv="Content-Security-Policy"[^>]*>/;

/** Runs in the page when its body is there: adds one element. */
function adds(markup) {
  return `addEventListener("DOMContentLoaded", () => {
    const inner = document.createElement("template");
    inner.innerHTML = ${JSON.stringify(markup)};
    document.getElementById("main").append(inner.content);
  })`;
}

/** Runs in the page behind every press of a key, when the page has drawn. */
function behind(key, does) {
  return `addEventListener("keydown", (press) => {
    if (press.key === ${JSON.stringify(key)}) { ${does} }
  })`;
}

/** A style, which the policy allows. */
function styles(text) {
  return adds(`<style>${text}</style>`);
}

/**
 * The fault, the check that has to see it, the words it says it in; how the page is visited; what
 * breaks it, before it runs or in its text.
 */
const FAULTS = [
  ["a request that the policy stops", complainsOfNothing, /ondisk\.invalid/, {},
    { init: "addEventListener('DOMContentLoaded', () => fetch('https://ondisk.invalid/').catch(() => 0))" }],
  ["a request that nothing stops", asksForNothing, /ondisk\.invalid/, {},
    { init: "fetch('https://ondisk.invalid/').catch(() => 0)", edit: [POLICY, ""] }],
  ["an image from elsewhere", asksForNothing, /a\.png/, {},
    { init: adds("<img alt='' src='https://ondisk.invalid/a.png'>"), edit: [POLICY, ""] }],
  ["no policy", hasItsPolicy, /policy/, {}, { edit: [POLICY, ""] }],
  ["a policy that lets scripts from elsewhere in", hasItsPolicy, /https:/, {}, { edit: ["script-src ", "script-src https: "] }],
  ["an error that nobody catches", complainsOfNothing, /lost its way/, {},
    { init: "setTimeout(() => { throw new Error('lost its way') })" }],
  ["a link that is not changed", stepsChangeTheLink, /left the link/, {},
    { init: "history.replaceState = history.pushState = () => {}" }],
  ["a step that changes the link later", stepsChangeTheLink, /left the link/, {},
    { init: "const now = history.replaceState.bind(history); history.replaceState = (...all) => { setTimeout(() => now(...all), 300) }" }],
  ["a step back that forgets one cell", (one) => stepsBackAreStepsUndone(one, 40), /no step undone/, STILL,
    { init: behind("ArrowLeft", "document.querySelector('#stage :not(:has(*))')?.remove()") }],
  ["a step back that leaves one word", (one) => stepsBackAreStepsUndone(one, 40), /left over/, STILL,
    { init: behind("ArrowLeft", "document.querySelector('#program').append('left over')") }],
  ["a picture that never changes", (one) => stepsBackAreStepsUndone(one, 40), /pictures of/, STILL,
    { init: "addEventListener('DOMContentLoaded', () => { globalThis.readPicture = () => 'the same' })" }],
  ["a step back that leaves a line of another moment", everyWayToAMomentIsTheSame, /depends on the way/, STILL,
    { init: behind("ArrowLeft", "document.querySelector('#ladder').append('left over')") }],
  ["an image without a name", isAccessible, /image-alt/, {}, { init: adds("<img src='data:,'>") }],
  ["a button without a name", isAccessible, /button-name/, {},
    { init: adds("<button style='min-width:30px;min-height:30px'></button>") }],
  ["pale words", isAccessible, /color-contrast/, {},
    { init: adds("<p style='color:#ccc;background:#fff;position:fixed;top:0;z-index:9'>pale</p>") }],
  ["400 pixels of a fixed width", fitsItsWidth, /wide|ends at/, PHONE, { init: styles("#stage{width:400px}") }],
  ["words that do not break", fitsItsWidth, /wide|ends at/, PHONE,
    { init: adds(`<p style='white-space:nowrap'>${"word ".repeat(60)}</p>`) }],
  ["a target of 16 pixels", hasLargeTargets, /16 × 16/, {},
    { init: adds("<button style='all:unset;width:16px;height:16px' aria-label='small'></button>") }],
  ["a cursor beside its thumb", hasItsCursorAtItsThumb, /the cursor is at/, {}, { init: styles("#time .cursor{margin-left:9px}") }],
  ["motion that nobody wants", standsStill, /moves behind/, STILL,
    { init: styles("@keyframes on{to{opacity:.5}} #stage{animation:on 2s infinite!important}") }],
];

/** A copy of the page with one place changed. */
async function edited(name, [from, to]) {
  const text = await readFile(FILE, "utf8");
  const changed = text.replace(from, to);
  assert.notEqual(changed, text, "there is nothing to break");
  const file = join(folder, `${name.replace(/\W+/g, "-")}.html`);
  await writeFile(file, changed);
  return file;
}

for (const [name, check, words, options, { init, edit }] of FAULTS) {
  test(`a canary: ${name}`, async () => {
    const file = edit === undefined ? FILE : await edited(name, edit);
    const one = await visit(browser, { ...options, file, init: init === undefined ? [] : [{ content: init }] });
    try {
      await assert.rejects(async () => check(one), (error) => {
        assert.equal(error.code, "ERR_ASSERTION", String(error));
        assert.match(`${error.message} ${JSON.stringify(error.actual)}`, words, "the check complains of something else");
        return true;
      });
    } finally {
      await one.close();
    }
  });
}

test("where nothing is broken no check complains", async () => {
  const checks = new Map(FAULTS.map(([, check, , options]) => [`${check}${JSON.stringify(options)}`, [check, options]]));
  for (const [check, options] of checks.values()) {
    const one = await visit(browser, options);
    try {
      await check(one);
    } finally {
      await one.close();
    }
  }
});
