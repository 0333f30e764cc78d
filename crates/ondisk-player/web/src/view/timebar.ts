// The time bar: controls, the plug, and the whole run as a strip of six lanes with its marks.
//
// Invariant: the strip is drawn once for a run, a width and a theme; a step moves the cursor alone.
import type { App, Run } from "../app.ts";
import { SPEEDS } from "../pace.ts";
import { el, fill, reconcile, say, set, svg } from "./dom.ts";
import { firstSteps, plugs } from "./layers/plugs.ts";
import { gathered, paint, type Mark, type Strip } from "./layers/strip.ts";
import { clock, figures } from "./layers/words.ts";

/** So near, in pixels, a click must come to a mark to go to it. */
const NEAR = 7;
/** What is left free at both ends for the thumb of the scrubber. */
const INSET = 12;

const ICONS: Record<string, string> = {
  play: "M7 5v14l12-7z",
  pause: "M7 5h4v14H7zM14 5h4v14h-4z",
  back: "M16 5v14L7 12zM5 5h1.5v14H5z",
  step: "M8 5v14l9-7zM17.5 5H19v14h-1.5z",
};

export function mount(root: HTMLElement, app: App): void {
  const bar = new Bar(root, app);
  bar.draw(true);
  app.on((_, changed) => bar.draw(changed.has("run") || changed.has("theme")));
  new ResizeObserver(() => bar.draw(true)).observe(root);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => bar.draw(true));
}

class Bar {
  private readonly playing = button("play", "Play (space)", () => {
    if (this.app.state.playing) this.app.pause();
    else this.app.play();
  });
  private readonly speed = el("select", { "aria-label": "Speed", class: "speed" });
  private readonly where = el("output", { class: "where" });
  private readonly canvas = el("canvas", { class: "strip", "aria-hidden": "true" });
  private readonly marks = el("div", { class: "marks", "aria-hidden": "true" });
  private readonly cursor = el("div", { class: "cursor", "aria-hidden": "true" });
  private readonly range = el("input", {
    type: "range", min: 0, step: 1, class: "scrub", "aria-label": "Event",
  });
  private readonly box = el("div", { class: "strip-box" }, this.canvas, this.marks, this.cursor, this.range);
  private strip: Strip | null = null;
  private run: Run | null = null;
  private readonly root: HTMLElement;
  private readonly app: App;

  constructor(root: HTMLElement, app: App) {
    this.root = root;
    this.app = app;
    for (const speed of SPEEDS) this.speed.append(el("option", { value: speed }, `× ${speed}`));
    this.speed.addEventListener("change", () => app.speed(Number(this.speed.value)));
    this.range.addEventListener("input", () => app.go(Number(this.range.value)));
    this.box.addEventListener("click", (event) => this.clicked(event));
    fill(root, firstSteps(app), this.controls(), plugs(app), this.box);
  }

  private controls(): HTMLElement {
    const { app } = this;
    const jump = (to: "barrier" | "ack", way: 1 | -1): HTMLElement => {
      const [name, key, sign] = to === "ack" ? ["acknowledgement", "A", "✓"] : ["sync barrier", "B", "sync"];
      const words = `${way < 0 ? "Previous" : "Next"} ${name}`;
      return el("button", {
        type: "button", class: "jump", "data-way": way < 0 ? "back" : "on", "aria-label": words,
        title: `${words} (${way < 0 ? "Shift+" : ""}${key})`, onclick: () => app.jump(to, way),
      }, sign);
    };
    return el(
      "div",
      { class: "controls", role: "toolbar", "aria-label": "Time" },
      el("div", { class: "group" }, jump("ack", -1), jump("barrier", -1)),
      el(
        "div",
        { class: "group" },
        button("back", "Step back (←)", () => app.step(-1)),
        this.playing,
        button("step", "Step (→)", () => app.step(1)),
      ),
      el("div", { class: "group" }, jump("barrier", 1), jump("ack", 1)),
      this.speed,
      this.where,
    );
  }

  draw(all: boolean): void {
    const { run, moment, playing, speed } = this.app.state;
    this.root.hidden = run === null;
    if (run === null) return;
    if (all || run !== this.run) this.whole(run);
    const at = Math.min(moment.at, run.tape.length);
    const t = run.tape.event(at)?.t ?? 0;
    set(this.range, "max", run.tape.length);
    this.range.value = String(at);
    const words = at === 0 ? "before the first event" : run.names.event(at);
    set(this.range, "aria-valuetext", `event ${figures(at)} of ${figures(run.tape.length)}, ${clock(t)}: ${words}`);
    say(this.where, `event ${figures(at)} of ${figures(run.tape.length)} · ${clock(t)}`);
    this.cursor.style.left = `${this.x(at)}px`;
    set(this.playing, "aria-label", playing ? "Pause (space)" : "Play (space)");
    set(this.playing, "title", playing ? "Pause (space)" : "Play (space)");
    const path = this.playing.querySelector("path");
    if (path !== null) set(path, "d", (playing ? ICONS["pause"] : ICONS["play"]) ?? "");
    if (SPEEDS.includes(speed)) this.speed.value = String(speed);
  }

  private whole(run: Run): void {
    const width = Math.max(60, Math.round(this.box.clientWidth) - 2 * INSET);
    if (this.strip === null || run !== this.run || this.strip.width !== width) {
      this.strip = gathered(run, width);
    }
    this.run = run;
    paint(this.canvas, this.strip);
    reconcile(this.marks, this.strip.marks, (mark) => `${mark.kind}${mark.x}/${mark.at}`, (mark) =>
      el("span", { class: "mark", "data-mark": mark.kind }, SIGNS[mark.kind][0]), (element, mark) => {
      set(element, "title", `${SIGNS[mark.kind][1]}: event ${figures(mark.at)}`);
      element.style.left = `${mark.x + INSET}px`;
    });
  }

  private x(at: number): number {
    const width = this.strip?.width ?? 0;
    const length = Math.max(1, this.run?.tape.length ?? 1);
    return INSET + (width * at) / length;
  }

  /** A click near a mark goes to it; elsewhere the scrubber has it already. */
  private clicked(event: MouseEvent): void {
    if (event.detail === 0) return;
    const box = this.box.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left - INSET, event.clientY - box.top];
    if (y > 20) return;
    let nearest: Mark | null = null;
    for (const mark of this.strip?.marks ?? []) {
      const far = Math.abs(mark.x - x);
      if (far <= NEAR && (nearest === null || far < Math.abs(nearest.x - x))) nearest = mark;
    }
    if (nearest !== null) this.app.go(nearest.at);
  }
}

const SIGNS: Record<Mark["kind"], [sign: string, words: string]> = {
  ack: ["✓", "acknowledged"],
  sync: ["S", "a sync call returned"],
  flush: ["F", "a FLUSH is done"],
  death: ["✕", "death"],
};

function button(icon: string, name: string, run: () => void): HTMLButtonElement {
  const drawing = svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[icon] ?? "" }));
  return el("button", { type: "button", class: "icon", "aria-label": name, title: name, onclick: run }, drawing);
}

