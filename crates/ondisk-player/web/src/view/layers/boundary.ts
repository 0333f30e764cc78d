// The line between user and kernel, and the calls that cross it.
//
// Invariant: a call that is in the kernel points down; one that has returned points up, and of those
// only the last is shown.
import type { CallInfo } from "../../types.ts";
import { el, reconcile, say, set, svg } from "../dom.ts";
import type { Scene } from "./scene.ts";
import { shortened } from "./words.ts";

/** So many calls back is looked for those that have not returned. */
const BACK = 256;

/** The calls that are seen at a moment. */
export function crossing(calls: readonly CallInfo[], at: number): CallInfo[] {
  const made = madeBy(calls, at);
  const inside = new Map<number, CallInfo>();
  let last: CallInfo | undefined;
  for (const call of calls.slice(Math.max(0, made - BACK), made)) {
    if (call.to === 0 || call.to > at) inside.set(call.task, call);
    else if (last === undefined || call.to >= last.to) last = call;
  }
  if (inside.size > 0) return [...inside.values()];
  return last === undefined ? [] : [last];
}

/** How many calls were made up to an event; they are in the order in which they were made. */
function madeBy(calls: readonly CallInfo[], at: number): number {
  let [low, high] = [0, calls.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((calls[middle]?.from ?? 0) <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Draws the calls on the line. */
export function draw(place: HTMLElement, scene: Scene): void {
  const { info, names } = scene.run;
  const gone = scene.death?.own === true;
  const seen = gone ? [] : crossing(info.calls, scene.at);
  reconcile(place, seen.slice(0, 6), (call) => `${call.from}`, arrow, (element, call) => {
    const up = call.to !== 0 && call.to <= scene.at;
    const answer = call.answer.trim();
    set(element, "data-way", up ? "up" : "down");
    set(element, "data-failed", up && /E[A-Z]{2,}/.test(answer));
    const path = element.querySelector("path");
    if (path !== null) set(path, "d", up ? "M6 22V3M2 8l4-5 4 5" : "M6 2v19M2 16l4 5 4-5");
    const who = element.querySelector(".call-task");
    if (who !== null) say(who, info.tasks.length > 1 ? names.task(call.task) : "");
    const words = element.lastElementChild;
    if (words !== null) say(words, shortened(up ? `${call.words} ${answer}` : call.words, 72));
    set(element, "title", up ? `${call.words} ${answer}` : call.words);
    set(element, "aria-label", up ? "returned" : "in the kernel");
  });
}

function arrow(): HTMLElement {
  const head = svg("svg", { class: "arrow", viewBox: "0 0 12 24", "aria-hidden": "true" }, svg("path"));
  return el("span", { class: "call", role: "group" }, head, el("span", { class: "call-task" }), el("span"));
}
