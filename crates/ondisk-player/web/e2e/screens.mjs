// The screens of the page, and how one comes to each from the opening scene.
//
// Invariant: whoever asks for a screen has it in full: what it waits for is there.

import { drawn, press } from "./browser.mjs";

/** Writes a script and runs it. */
export async function writeScript(page, text) {
  await press(page, "e");
  await page.locator("#editor textarea").fill(text);
  await page.locator("#editor textarea").press("Control+Enter");
}

/** Out of the text, so that keys step again. */
export function leaveField(page) {
  return page.evaluate(() => document.activeElement.blur());
}

/** Goes to the first event that matches, from the beginning on. */
export async function goTo(page, pattern) {
  await press(page, "Home");
  const found = await page.evaluate(async (source) => {
    const slider = document.querySelector("#time input[type=range]");
    const last = Number(slider.max);
    for (let at = 1; at <= last; at++) {
      slider.value = String(at);
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      if (new RegExp(source).test(slider.getAttribute("aria-valuetext") ?? "")) return true;
    }
    return false;
  }, pattern.source);
  if (!found) throw new Error(`no event matches ${pattern}`);
  await drawn(page);
}

/** The fsync waits for the drive: its cache is asked to be emptied, and has not been yet. */
const midFsync = (page) => goTo(page, /asked to empty its cache/);

/** Cuts the power here, and predicts that it is lost sometimes. */
async function cut(page) {
  await press(page, "c");
  await page.locator("#plug .plug-question").waitFor();
  await press(page, "2");
  await page.locator("#plug .plug-grade").waitFor();
}

/** A cut at the first acknowledgement. */
async function afterACut(page) {
  await press(page, "Home", "a");
  await cut(page);
}

/** The machine comes back, with the journal that it had written. */
async function recovery(page) {
  await midFsync(page);
  await cut(page);
  await press(page, "p");
  await page.locator("#plug-stages").locator("[data-kind=kept], [data-kind=broken], [data-kind=plain]").first().waitFor();
}

/** The first step of the first lesson that asks for a prediction. */
async function lesson(page) {
  await press(page, "l");
  await page.locator("[data-lesson]").first().click();
  const asked = page.locator("#lessons .lesson-asked form");
  await page.locator("#lessons .lesson-count").waitFor();
  for (let steps = 0; steps < 20 && !(await asked.isVisible()); steps++) {
    const before = await page.locator("#lessons .lesson-count").innerText();
    await press(page, "n");
    await page.waitForFunction((before) => document.querySelector("#lessons .lesson-count").innerText !== before, before);
  }
  await asked.waitFor();
  await settled(page);
}

/** Nothing runs any more. */
export async function settled(page) {
  await page.waitForFunction(() => !document.querySelector("[aria-busy=true]"));
  await drawn(page);
}

async function editorWithAnError(page) {
  await writeScript(page, 'open log create\nwrote log "A"\n');
  await page.locator("#editor-error:visible").waitFor();
}

async function help(page) {
  await press(page, "?");
  await page.locator("dialog[open]").waitFor();
}

async function quiz(page) {
  await press(page, "l");
  await page.locator("[data-question]").first().click();
  await page.locator("#quiz form").waitFor();
}

/** Why a block looks as it does. */
async function why(page) {
  await midFsync(page);
  await page.locator("#stage [data-cell]").first().click();
  await page.locator("#panel-why").waitFor();
}

async function fileMenu(page) {
  await page.locator("#files summary").click();
  await page.locator("#files .menu-panel").waitFor();
}

/** By name: how to come there. */
export const SCREENS = {
  "the opening scene": async () => {},
  "the middle of an fsync": midFsync,
  "what survives a cut": afterACut,
  recovery,
  "a lesson": lesson,
  "the editor with an error": editorWithAnError,
  "why a block looks so": why,
  "the menu of files": fileMenu,
  "the help": help,
  "a question of check yourself": quiz,
};
