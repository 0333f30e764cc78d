// The plug beside time: the three deaths to be pressed, and what to do first.
//
// Invariant: a button does what its key does; the one that is looked at is pressed, and pressed
// again it gives life back. What to do first is said for the opening scene alone, and no longer once
// somebody has found the way.
import type { App } from "../../app.ts";
import type { Death } from "../../types.ts";
import { el, set } from "../dom.ts";

const DEATHS: readonly [how: Death, words: string, key: string][] = [
  ["cut", "Cut the power", "C"],
  ["crash", "Crash", "X"],
  ["kill", "Kill", "K"],
];

/** So many steps, and the way is found. */
const FEW = 4;

function kbd(key: string): HTMLElement {
  return el("kbd", { "aria-hidden": "true" }, key);
}

/** The buttons; they follow the state. */
export function plugs(app: App): HTMLElement {
  const buttons = new Map<Death, HTMLElement>();
  for (const [how, words, key] of DEATHS) {
    buttons.set(how, el("button", {
      type: "button", class: "plug", "data-how": how, "aria-keyshortcuts": key,
      onclick: () => app.die(app.state.moment.death === how ? null : how),
    }, words, " ", kbd(key)));
  }
  const draw = (): void => {
    for (const [how, button] of buttons) set(button, "aria-pressed", String(app.state.moment.death === how));
  };
  draw();
  app.on((_, changed) => {
    if (changed.has("death") || changed.has("run")) draw();
  });
  return el("div", { class: "plugs", role: "group", "aria-label": "Cut, crash or kill, now" }, ...buttons.values());
}

/** What to do first: a line for keys, and one for fingers. */
export function firstSteps(app: App): HTMLElement {
  const line = el("p", { class: "first-steps" },
    el("span", { class: "by-keys" }, kbd("→"), " steps on, ", kbd("C"), " cuts the power"),
    el("span", { class: "by-touch" }, "Step on, and cut the power where you like"));
  let steps = 0;
  const draw = (): void => {
    const { source, death, lesson } = app.state.moment;
    const isOpening = source.kind === "built-in" && source.name === "opening";
    if (death !== null) steps = FEW;
    line.hidden = !isOpening || lesson !== null || steps >= FEW;
  };
  draw();
  app.on((_, changed) => {
    // That a run is there is nobody's step.
    if (changed.has("at") && !changed.has("run")) steps += 1;
    draw();
  });
  return line;
}
