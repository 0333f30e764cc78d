// What must hold of the page, each as a function of a visit that throws where it does not. The
// tests run them on the page; the canaries run them on pages that were broken on purpose.
//
// Invariant: none of them knows how the page is made, only what is promised of it: its ids, its
// keys, its roles and its link.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { drawn, hashOf } from "./browser.mjs";
import { numbers } from "./timelines.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** The file itself and nothing else was asked for, not even in vain. */
export async function asksForNothing({ page, address, asked }) {
  const others = asked.filter((url) => url.split("#")[0] !== address);
  assert.deepEqual(others, [], "the page asks for something");
  const entries = await page.evaluate(() => performance.getEntriesByType("resource").map((entry) => entry.name));
  assert.deepEqual(entries, [], "the page asks for something");
}

/** No error, no warning, no breach of the policy. */
export async function complainsOfNothing({ page, said }) {
  const breaches = await page.evaluate(() => globalThis.breaches);
  assert.deepEqual([...said, ...breaches], [], "the page complains");
}

/** The policy is there, and nothing may be loaded from anywhere. */
export async function hasItsPolicy({ page }) {
  const policy = await page.evaluate(
    () => document.querySelector('meta[http-equiv="Content-Security-Policy"]')?.content ?? "",
  );
  const rules = new Map(policy.split(";").map((rule) => {
    const [name, ...sources] = rule.trim().split(/\s+/);
    return [name, sources];
  }));
  assert.deepEqual(rules.get("default-src"), ["'none'"], `the policy is: ${policy}`);
  assert.deepEqual(rules.get("base-uri"), ["'none'"], "base-uri");
  assert.deepEqual(rules.get("form-action"), ["'none'"], "form-action");
  const allowed = /^('none'|'unsafe-inline'|'wasm-unsafe-eval'|'sha(256|384|512)-[\w+/=]+'|data:)$/;
  for (const [name, sources] of rules) {
    for (const source of sources) assert.match(source, allowed, `${name} allows ${source}`);
    if (name !== "img-src") assert.ok(!sources.includes("data:"), `${name} allows data:`);
  }
}

/** All of the picture, as `browser.mjs` reads it. */
export function pictureOf(page) {
  return page.evaluate(() => globalThis.readPicture());
}

/** → and ← change the link, each at once, and the second undoes the first. */
export async function stepsChangeTheLink({ page }) {
  await page.keyboard.press("Home");
  const before = await hashOf(page);
  await page.keyboard.press("ArrowRight");
  const behind = await hashOf(page);
  assert.notEqual(behind, before, "→ left the link as it was");
  await page.keyboard.press("ArrowRight");
  const further = await hashOf(page);
  assert.ok(![before, behind].includes(further), "the second → left the link as it was");
  await page.keyboard.press("ArrowLeft");
  assert.equal(await hashOf(page), behind, "← did not come back to the link before");
}

/**
 * Goes through all events, or `most` of them, and back: behind each the picture is the same both
 * ways. What was seen on the way: how many events, and how many different pictures.
 */
export async function stepsBackAreStepsUndone({ page }, most = 150) {
  const seen = await page.evaluate(async (most) => {
    const key = async (name) => {
      document.body.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));
      await new Promise((done) => setTimeout(done));
    };
    const picture = globalThis.readPicture;
    const place = () => Number(document.querySelector("#time input[type=range]").value);
    document.activeElement?.blur?.();
    await key("Home");
    const pictures = [picture()];
    while (pictures.length <= most) {
      await key("ArrowRight");
      if (place() < pictures.length) break;
      pictures.push(picture());
    }
    for (let at = pictures.length - 2; at >= 0; at--) {
      await key("ArrowLeft");
      if (place() !== at) return { at, place: place() };
      const now = picture();
      if (now === pictures[at]) continue;
      let from = 0;
      while (now[from] === pictures[at][from]) from += 1;
      const around = (text) => text.slice(Math.max(0, from - 200), from + 200);
      return { at, forward: around(pictures[at]), back: around(now) };
    }
    return { events: pictures.length - 1, different: new Set(pictures).size };
  }, most);
  assert.ok(seen.events !== undefined, `a step back is no step undone: ${JSON.stringify(seen, null, 1)}`);
  assert.ok(seen.events >= 2, "there is nothing to step through");
  assert.ok(seen.different > seen.events / 2, `${seen.different} pictures of ${seen.events} events`);
  return seen;
}

/**
 * At `count` moments, picked by a seed, the picture is the same whether one came by a step on, by a
 * step back or by a jump. How many events there are, and how many different pictures were seen.
 */
export async function everyWayToAMomentIsTheSame({ page }, count = 25, seed = 3) {
  const last = Number(await page.locator("#time input[type=range]").getAttribute("max"));
  const pick = numbers(seed);
  const moments = Array.from({ length: count }, () => 1 + pick(Math.max(1, last - 1)));
  const seen = await page.evaluate(async (moments) => {
    const slider = document.querySelector("#time input[type=range]");
    const breath = () => new Promise((done) => setTimeout(done));
    const jump = (to) => {
      slider.value = String(to);
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    };
    const key = (name) =>
      document.body.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));
    const ways = { on: (at) => (jump(at - 1), key("ArrowRight")), back: (at) => (jump(at + 1), key("ArrowLeft")), jump };
    const pictures = new Set();
    for (const at of moments) {
      const reached = [];
      for (const [way, go] of Object.entries(ways)) {
        jump(0);
        go(at);
        await breath();
        if (Number(slider.value) !== at) return { wrong: `${way} came to ${slider.value} in place of ${at}` };
        reached.push(globalThis.readPicture());
      }
      if (new Set(reached).size !== 1) return { wrong: `at ${at} the picture depends on the way`, reached };
      pictures.add(reached[0]);
    }
    return { different: pictures.size };
  }, moments);
  assert.equal(seen.wrong, undefined, `${seen.wrong}: ${differenceOf(seen.reached ?? [])}`);
  assert.ok(seen.different > new Set(moments).size / 2, `${seen.different} pictures of ${new Set(moments).size} moments`);
  return { events: last, ...seen };
}

/** Where texts that should be the same begin to differ. */
function differenceOf(texts) {
  const [first = "", ...others] = texts;
  const other = others.find((text) => text !== first) ?? first;
  let from = 0;
  while (from < first.length && first[from] === other[from]) from += 1;
  const around = (text) => text.slice(Math.max(0, from - 150), from + 150);
  return `${around(first)} | ${around(other)}`;
}

/**
 * Whether nothing that axe knows of is wrong with what is shown. With forced colours the browser
 * picks them, and axe reads the page's own instead: there a contrast counts alone where the page
 * keeps its colours.
 */
export async function isAccessible({ page }) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const rules = { "target-size": { enabled: true } };
    const { violations } = await globalThis.axe.run(document, { rules, resultTypes: ["violations"] });
    const forced = matchMedia("(forced-colors: active)").matches;
    const isForced = ({ target }) => {
      const element = document.querySelector(target.at(-1));
      return forced && getComputedStyle(element).forcedColorAdjust !== "none";
    };
    const message = ({ any, all, none }) => [...any, ...all, ...none][0]?.message ?? "";
    return violations.flatMap(({ id, nodes }) =>
      nodes
        .filter((node) => id !== "color-contrast" || !isForced(node))
        .map((node) => `${id}: ${node.target.join(" ")}: ${node.html.slice(0, 160)} (${message(node)})`),
    );
  });
  assert.deepEqual(found, [], "axe finds something");
}

/** Nothing makes the page wider than its window, and nothing is cut off at its side. */
export async function fitsItsWidth({ page }) {
  const wide = await page.evaluate(() => {
    const root = document.documentElement;
    const scrolls = (element) => {
      for (let up = element; up !== null && up !== root; up = up.parentElement) {
        if (/auto|scroll/.test(getComputedStyle(up).overflowX)) return true;
      }
      return false;
    };
    const hidden = (element) => {
      for (let up = element; up !== null; up = up.parentElement) {
        const { width, height } = up.getBoundingClientRect();
        if (width <= 1 && height <= 1 && getComputedStyle(up).overflow !== "visible") return true;
      }
      return !element.checkVisibility({ visibilityProperty: true });
    };
    const out = [...document.body.querySelectorAll("*")].filter((element) => {
      const { right, width, height } = element.getBoundingClientRect();
      return width > 0 && height > 0 && right > root.clientWidth + 1 && !scrolls(element) && !hidden(element);
    });
    const name = (element) => `${element.tagName.toLowerCase()}#${element.id}.${element.getAttribute("class")}`;
    const found = out.slice(0, 5).map((element) => `${name(element)} ends at ${Math.round(element.getBoundingClientRect().right)}`);
    if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} wide`);
    return found;
  });
  assert.deepEqual(wide, [], "something is wider than the window");
}

/** All that can be pressed is at least 24 by 24; a link inside a sentence is as high as its line. */
export async function hasLargeTargets({ page }) {
  const small = await page.evaluate(() => {
    const roles = ["button", "tab", "slider", "radio", "option", "checkbox", "menuitem"].map((role) => `[role=${role}]`);
    const pressed = ["a[href]", "button", "input", "select", "textarea", "summary", "[tabindex='0']", ...roles].join();
    const box = (element) => {
      const rects = [element, ...(element.labels ?? [])].map((part) => part.getBoundingClientRect());
      const label = element.closest("label");
      if (label !== null) rects.push(label.getBoundingClientRect());
      return {
        width: Math.max(...rects.map((rect) => rect.width)),
        height: Math.max(...rects.map((rect) => rect.height)),
      };
    };
    const elsewhere = (element) => {
      const { right, bottom, width, height } = element.getBoundingClientRect();
      return right <= 0 || bottom + scrollY <= 0 || width <= 1 || height <= 1;
    };
    const inSentence = (element) =>
      element.tagName === "A" && element.parentElement.innerText.trim() !== element.innerText.trim();
    return [...document.querySelectorAll(pressed)]
      .filter((element) => element.checkVisibility({ visibilityProperty: true }))
      .filter((element) => !elsewhere(element) && !inSentence(element))
      .map((element) => ({ element, ...box(element) }))
      .filter(({ width, height }) => width < 23.5 || height < 23.5)
      .map(({ element, width, height }) => `${element.outerHTML.slice(0, 120)}: ${Math.round(width)} × ${Math.round(height)}`);
  });
  assert.deepEqual(small, [], "a target is too small");
}

/** The line over the strip stands where the slider's thumb does. */
export async function hasItsCursorAtItsThumb({ page }) {
  const [cursor, thumb] = await page.evaluate(() => {
    const range = document.querySelector("#time input[type=range]");
    const { left, width } = range.getBoundingClientRect();
    // What is left free for the thumb at both ends.
    const inset = 12;
    const line = document.querySelector("#time .cursor").getBoundingClientRect();
    return [line.left + line.width / 2, left + inset + ((width - 2 * inset) * Number(range.value)) / Number(range.max)];
  });
  assert.ok(Math.abs(cursor - thumb) < 3, `the cursor is at ${cursor}, the thumb at ${thumb}`);
}

/** Where motion is unwanted, nothing moves behind a step. */
export async function standsStill({ page }) {
  for (const key of ["ArrowRight", "ArrowRight", "c", "Escape"]) {
    await page.keyboard.press(key);
    const moving = await page.evaluate(() =>
      document
        .getAnimations()
        .filter((animation) => animation.playState === "running")
        .filter((animation) => animation.effect.getComputedTiming().activeDuration > 1)
        .map(({ effect, animationName, transitionProperty }) =>
          `${effect.target?.id} ${effect.target?.className} ${animationName ?? transitionProperty}`),
    );
    assert.deepEqual(moving, [], `something moves behind ${key}`);
    await drawn(page);
  }
}
