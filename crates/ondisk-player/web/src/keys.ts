// Keys.
//
// Invariant: a key does what a button does too; while somebody types in a field, or holds a key for
// the browser, no key is ours.

import type { App } from "./app.ts";

/** All keys and what they do, for the help too. */
export const KEYS: readonly { keys: string[]; does: string; act(app: App, event: KeyboardEvent): void }[] = [
  { keys: ["ArrowRight", "→"], does: "one event on", act: (app, event) => app.step(event.shiftKey ? 10 : 1) },
  { keys: ["ArrowLeft", "←"], does: "one event back", act: (app, event) => app.step(event.shiftKey ? -10 : -1) },
  { keys: [" ", "Space"], does: "play, pause", act: (app) => (app.state.playing ? app.pause() : app.play()) },
  { keys: ["c"], does: "cut the power here", act: (app) => app.die("cut") },
  { keys: ["k"], does: "kill the process here", act: (app) => app.die("kill") },
  { keys: ["x"], does: "crash the kernel here", act: (app) => app.die("crash") },
  { keys: ["a"], does: "next acknowledgement; with Shift the one before", act: (app, event) => app.jump("ack", event.shiftKey ? -1 : 1) },
  { keys: ["b"], does: "next barrier; with Shift the one before", act: (app, event) => app.jump("barrier", event.shiftKey ? -1 : 1) },
  { keys: ["Home"], does: "to the beginning", act: (app) => app.step(-Infinity) },
  { keys: ["End"], does: "to the end", act: (app) => app.step(Infinity) },
  { keys: ["l"], does: "lessons", act: (app) => app.show("lesson") },
  { keys: ["e"], does: "edit the script", act: (app) => app.show("change") },
  { keys: ["?"], does: "help", act: (app) => app.show("help") },
  { keys: ["Escape", "Esc"], does: "leave: help, then the death, then the lesson", act: leave },
];

function leave(app: App): void {
  const { panel, moment, playing, selected } = app.state;
  if (panel === "help") app.show("help");
  else if (playing) app.pause();
  else if (moment.death) app.die(null);
  else if (selected) app.select(null);
  else if (moment.lesson) app.lesson(null);
}

/** Fields, and what takes arrows or the space bar itself. */
const TYPES = "input, textarea, select, [contenteditable]";
const PRESSES = "button, summary, a[href], [role=button], [role=tab], [role=option], [role=slider], label";
const ARROWS = "[role=tab], [role=slider], [role=option], [role=radio], [role=grid]";

function isTaken(event: KeyboardEvent): boolean {
  const target = event.target instanceof Element ? event.target : null;
  if (!target) return false;
  if (event.key === "Escape") return false;
  if (target.closest(TYPES)) return true;
  if (event.key === " ") return target.closest(PRESSES) !== null;
  return /^(Arrow|Home|End)/.test(event.key) && target.closest(ARROWS) !== null;
}

export function listen(app: App): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTaken(event)) return;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const key = KEYS.find((own) => own.keys[0] === name);
    if (!key) return;
    event.preventDefault();
    key.act(app, event);
  });
}
