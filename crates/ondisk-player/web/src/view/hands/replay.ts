// The machine comes back: the journal, the program's log, the verdict, one step after the other.
//
// Invariant: all steps are there at once for those who want no movement; a replay that is left
// shows nothing later.

import type { App } from "../../app.ts";
import type { Death } from "../../types.ts";
import { el, fill, set } from "../dom.ts";
import { type Stage, stages } from "./recovery.ts";

/** Milliseconds from one step to the next. */
const PACE = 650;
/** So many steps in the middle are shown one by one; the rest of a long replay is told in one. */
const MOST = 40;

const SIGNS: Record<Stage["kind"], string> = {
  boot: "•", replayed: "✓", dropped: "✕", applied: "✓", left: "✕", moved: "·", file: "▪", kept: "✓", broken: "✕", plain: "·",
};

const CHOICES: readonly (readonly [string, string])[] = [
  ["first", "the least that can be left"],
  ["last", "the most that can be left"],
  ["chance", "as chance has it"],
];

export class Replay {
  readonly element = el("div", { class: "replay" });
  private readonly app: App;
  private choice = "first";
  private chance = 0;
  private timer = 0;

  constructor(app: App) {
    this.app = app;
  }

  /** Shows nothing any more. */
  stop(): void {
    window.clearTimeout(this.timer);
    fill(this.element);
  }

  /** Plays the recovery of a death. */
  begin(how: Death): void {
    this.stop();
    const { run } = this.app.state;
    const recovered = run === null ? null : this.app.recover(how, this.asked());
    if (run === null || recovered === null) {
      fill(this.element, el("p", null, "The simulation gave no answer."));
      this.app.say("The simulation gave no answer.");
      return;
    }
    const all = shortened(stages(recovered, run.info));
    const list = el("ol", { class: "bare stages", id: "plug-stages" });
    const rest = el("button", { type: "button", id: "plug-rest" }, "To the verdict");
    const shown = { count: 0 };
    const show = (upTo: number) => {
      for (const stage of all.slice(shown.count, upTo)) list.append(item(stage));
      shown.count = upTo;
      if (upTo < all.length) return;
      window.clearTimeout(this.timer);
      const had = document.activeElement === rest;
      rest.remove();
      if (had) this.element.querySelector("select")?.focus();
      this.app.say(spoken(all));
    };
    rest.addEventListener("click", () => show(all.length));
    fill(this.element, this.choices(how), list, rest);
    if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) {
      show(all.length);
      return;
    }
    const next = () => {
      show(shown.count + 1);
      if (shown.count < all.length) this.timer = window.setTimeout(next, PACE);
    };
    next();
  }

  private asked(): string {
    const { run } = this.app.state;
    if (this.choice !== "chance") return this.choice;
    const seed = /^\d+$/.test(run?.knobs.seed ?? "") ? BigInt(run?.knobs.seed ?? "1") : 1n;
    return String((seed + BigInt(this.chance)) % (1n << 64n));
  }

  private choices(how: Death): HTMLElement {
    const select = el("select", { id: "plug-choice" });
    for (const [value, is] of CHOICES) select.append(el("option", { value }, is));
    select.value = this.choice;
    select.addEventListener("change", () => {
      this.choice = select.value;
      this.begin(how);
      this.element.querySelector("select")?.focus();
    });
    const another = el("button", { type: "button", id: "plug-another" }, "Another");
    another.addEventListener("click", () => {
      this.chance++;
      this.begin(how);
      this.element.querySelector<HTMLElement>("#plug-another")?.focus();
    });
    set(another, "hidden", this.choice !== "chance");
    return el("p", { class: "field" }, el("label", { for: "plug-choice" }, "What the death left"), select, another);
  }
}

function item({ kind, words }: Stage): HTMLElement {
  return el("li", { "data-kind": kind }, el("span", { class: "sign", "aria-hidden": "true" }, SIGNS[kind]), el("span", null, words));
}

/** A long replay without the most of what moved in it; nothing else is left out. */
function shortened(all: Stage[]): Stage[] {
  const moved = all.filter(({ kind }) => kind === "moved");
  if (all.length <= MOST || moved.length < 4) return all;
  const kept = new Set(moved.slice(0, 3));
  const told: Stage = { kind: "moved", words: `… and ${moved.length - 3} more steps of this kind.` };
  const last = moved.at(-1);
  return all.flatMap((stage) => {
    if (stage.kind !== "moved" || kept.has(stage)) return [stage];
    return stage === last ? [told] : [];
  });
}

/** What is said aloud: the verdict alone. */
function spoken(all: Stage[]): string {
  const ends = all.filter(({ kind }) => kind === "kept" || kind === "broken" || kind === "plain");
  const broken = ends.filter(({ kind }) => kind === "broken");
  return (broken.length > 0 ? broken : ends).map(({ words }) => words).join(" ");
}
