// How large the page is and how fast: `node bench.mjs`. Figures for people; no test depends on them.
//
// What is measured is the page itself in chromium, from outside: from the press of a key to the
// layout of what it brings. The aims stand beside the figures.

import { gzipSync } from "node:zlib";
import { readFileSync } from "node:fs";
import { FILE, launch, visit } from "./e2e/browser.mjs";
import { numbers } from "./e2e/timelines.mjs";

const LAUNCHES = 5;
const LOOKS = 400;
const JUDGED = 60;

/** A script whose run has about ten thousand events. */
const LONG = `open log create
repeat 185 {
  write log "a record of many\\n"
  flush log
  fsync log
  ack "on disk" log
}
`;

function quantile(sorted, part) {
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

function told(what, values, aim) {
  const sorted = [...values].sort((a, b) => a - b);
  const [p50, p99, max] = [quantile(sorted, 0.5), quantile(sorted, 0.99), sorted.at(-1)];
  const figures = [p50, p99, max].map((value) => value.toFixed(1).padStart(7)).join(" ");
  console.log(`${what.padEnd(44)} p50 p99 max ${figures} ms   ${aim}`);
}

function size() {
  const bytes = readFileSync(FILE);
  console.log(`size without data: ${bytes.length} bytes (aim: 600,000 at most), ${gzipSync(bytes).length} packed`);
}

/** Each time a browser that has never seen the page. */
async function firstInteraction() {
  const ready = [];
  const stepped = [];
  for (let i = 0; i < LAUNCHES; i++) {
    const browser = await launch();
    const { page } = await visit(browser, {
      init: [() => {
        const look = () => {
          const slider = document.querySelector("#time input[type=range]");
          if (Number(slider?.max) > 0) performance.mark("ready");
          else requestAnimationFrame(look);
        };
        look();
      }],
    });
    ready.push(await page.evaluate(() => performance.getEntriesByName("ready")[0].startTime));
    stepped.push(...(await timed(page, ["ArrowRight"])));
    await browser.close();
  }
  told("from a cold start to the opening scene", ready, "");
  told("the first step after it", stepped, "< 50");
}

/** How long the page takes for each key, layout included. */
function timed(page, keys) {
  return page.evaluate((keys) => {
    return keys.map((key) => {
      const from = performance.now();
      document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
      document.body.getBoundingClientRect();
      return performance.now() - from;
    });
  }, keys);
}

/** Goes to events by the slider, and asks there what survives where `dies`. */
function shown(page, events, dies) {
  return page.evaluate(async ([events, dies]) => {
    const slider = document.querySelector("#time input[type=range]");
    const key = (name) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true }));
    const times = [];
    for (const at of events) {
      const from = performance.now();
      slider.value = String(at);
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      document.body.getBoundingClientRect();
      const there = performance.now();
      if (dies) {
        key("c");
        document.body.getBoundingClientRect();
      }
      times.push(performance.now() - (dies ? there : from));
      if (dies) key("Escape");
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    }
    return times;
  }, [events, dies]);
}

async function longRun() {
  const browser = await launch();
  const script = Buffer.from(LONG).toString("base64url");
  const { page } = await visit(browser, { hash: `#p=${script}` });
  const events = await page.evaluate(() => Number(document.querySelector("#time input[type=range]").max));
  console.log(`a run of ${events} events:`);
  const pick = numbers(1);
  const anywhere = (count) => Array.from({ length: count }, () => pick(events + 1));
  told("  any event, shown", await shown(page, anywhere(LOOKS), false), "< 50");
  told("  a step on", await timed(page, Array(200).fill("ArrowRight")), "< 50");
  told("  a step back", await timed(page, Array(200).fill("ArrowLeft")), "< 50");
  told("  what survives a cut, asked and shown", await shown(page, anywhere(JUDGED), true), "< 100");
  await browser.close();
}

size();
await firstInteraction();
await longRun();
