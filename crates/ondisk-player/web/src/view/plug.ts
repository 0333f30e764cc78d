// The plug: a death at any moment, a prediction, what survives, and how the machine comes back.
//
// Invariant: nothing of the answer is on the page before the question was answered or skipped; and
// every word of it is made from what the simulation said.

import type { App, Run } from "../app.ts";
import type { Death, Judged, Lost } from "../types.ts";
import { el, fill, say, set } from "./dom.ts";
import { choose, standing, type Stands } from "./hands/choose.ts";
import { ANSWERS, capital, DEATHS, graded, itIs, truth, why } from "./hands/explain.ts";
import { Replay } from "./hands/replay.ts";
import { verdict } from "./hands/verdict.ts";

const HOWS: readonly (readonly [Death, string])[] = [["cut", "C"], ["kill", "K"], ["crash", "X"]];

const COMES_BACK: Record<Death, string> = { cut: "Power on", crash: "Boot again", kill: "Start it again" };

/** What a person said of the death that is looked at: an answer, nothing yet, or no answer. */
type Said = Lost | "skipped" | null;

export function mount(root: HTMLElement, app: App): void {
  new Plug(root, app);
}

class Plug {
  private readonly root: HTMLElement;
  private readonly app: App;
  private readonly replay: Replay;
  private said: Said = null;
  /** The death that the question was asked for. */
  private how: Death | null = null;
  private run: Run | null = null;
  /** The record that was chosen by hand. */
  private picked: number | null = null;
  private asks = true;
  /** Where the page stood before the plug came into sight; null where it was in sight. */
  private stood: number | null = null;

  constructor(root: HTMLElement, app: App) {
    this.root = root;
    this.app = app;
    this.replay = new Replay(app);
    app.on((_, changed) => {
      if (["run", "at", "death", "model"].some((what) => changed.has(what as "run"))) this.changed();
    });
    document.addEventListener("keydown", (event) => this.key(event));
    this.changed();
  }

  private changed(): void {
    const { moment, run } = this.app.state;
    const another = moment.death !== this.how || run !== this.run;
    if (another) {
      [this.how, this.run, this.picked] = [moment.death, run, null];
      this.said = this.asks ? null : "skipped";
    }
    this.replay.stop();
    this.render();
    if (!another) return;
    this.comeIntoSight(moment.death !== null);
    if (moment.death !== null) this.announce();
  }

  /** On a narrow page the plug is far below the machine: it comes into sight, and goes again. */
  private comeIntoSight(isDead: boolean): void {
    if (!isDead) {
      if (this.stood !== null) window.scrollTo({ top: this.stood });
      this.stood = null;
    } else if (this.stood === null && this.app.state.moment.lesson === null) {
      // The tab opens behind this change.
      window.setTimeout(() => {
        if (this.how === null || this.root.getBoundingClientRect().top < window.innerHeight * 0.7) return;
        this.stood = window.scrollY;
        this.root.scrollIntoView({ block: "start" });
      });
    }
  }

  private judged(): Judged | null {
    const { moment, run } = this.app.state;
    if (moment.death === null || run === null) return null;
    return moment.model === "" ? this.app.judge(moment.death) : this.app.judge(moment.death, moment.model);
  }

  /** What is asked about, where anything is. */
  private asked(judged: Judged): { stands: Stands[]; one: Stands | null } {
    const { moment, run } = this.app.state;
    if (run === null) return { stands: [], one: null };
    const stands = standing(run.info, moment.at, judged);
    const picked = stands.find(({ record }) => record.n === this.picked);
    return { stands, one: picked ?? choose(run.info, moment.at, stands) };
  }

  private render(): void {
    const id = this.root.contains(document.activeElement) ? document.activeElement?.id ?? "" : null;
    const { death } = this.app.state.moment;
    const judged = this.judged();
    if (death === null) this.renderAlive();
    else if (judged === null) this.renderUnknown(death);
    else if (this.isAsking(judged)) this.renderQuestion(death, judged);
    else this.renderVerdict(death, judged);
    if (id === null) return;
    const again = id === "" ? null : this.root.querySelector<HTMLElement>(`#${CSS.escape(id)}`);
    (again ?? this.root.querySelector<HTMLElement>("h3"))?.focus();
  }

  private isAsking(judged: Judged): boolean {
    return this.said === null && this.asked(judged).one !== null;
  }

  private renderAlive(): void {
    const list = el("ul", { class: "bare deaths" });
    for (const [how, key] of HOWS) {
      const { does, takes } = DEATHS[how];
      const button = el("button", { type: "button", id: `plug-${how}`, class: "death", "aria-keyshortcuts": key, "aria-describedby": `plug-${how}-takes` },
        does, " ", kbd(key));
      button.addEventListener("click", () => this.app.die(how));
      set(button, "disabled", this.app.state.run === null);
      list.append(el("li", null, button, el("p", { class: "hint", id: `plug-${how}-takes` }, `Takes ${takes}.`)));
    }
    fill(this.root, head("Pull the plug, now"),
      el("p", null, "Three deaths, three different losses. Go to any moment, predict, and see."), list, this.askFirst());
  }

  private renderUnknown(death: Death): void {
    const { canRun, cannotRun, state } = this.app;
    const why = !canRun ? cannotRun || "The simulation is not there."
      : state.run?.script === null ? "This is a timeline: what moved was recorded, and the machine is not here to be asked. Run its script under Change it, if it is there."
        : "The simulation gave no answer.";
    fill(this.root, head(`${DEATHS[death].name} ${this.when()}`), el("p", null, `It takes ${DEATHS[death].takes}.`), el("p", null, why), this.alive());
  }

  /** Other views see by `.plug-question` that somebody is asked, and give nothing away meanwhile. */
  private renderQuestion(death: Death, judged: Judged): void {
    const { stands, one } = this.asked(judged);
    if (one === null) return;
    const answers = el("div", { class: "plug-answers", role: "group", "aria-labelledby": "plug-question" });
    for (const { key, lost, is, survives } of ANSWERS) {
      const button = el("button", { type: "button", "aria-keyshortcuts": key }, kbd(key), " ", el("b", null, is), el("span", { class: "hint" }, survives));
      button.addEventListener("click", () => this.answer(lost));
      answers.append(button);
    }
    const skip = el("button", { type: "button", "aria-keyshortcuts": "S Enter" }, "Skip ", kbd("S"));
    skip.addEventListener("click", () => this.answer("skipped"));
    fill(this.root, head(`${DEATHS[death].name} ${this.when()}`),
      el("p", { id: "plug-question", class: "plug-question" }, "Will this record survive?"),
      this.card(one), this.others(stands, one), answers,
      el("div", { class: "buttons" }, skip, this.alive()), this.askFirst());
  }

  private renderVerdict(death: Death, judged: Judged): void {
    const { run, moment } = this.app.state;
    if (run === null) return;
    const { stands, one } = this.asked(judged);
    const on = el("button", { type: "button", id: "plug-on", class: "primary", "aria-keyshortcuts": "P" }, COMES_BACK[death], " ", kbd("P"));
    on.addEventListener("click", () => this.powerOn());
    fill(this.root, head(`${DEATHS[death].name} ${this.when()}`),
      this.grade(judged, one),
      el("div", { class: "buttons" }, on, this.alive()),
      this.replay.element,
      ...verdict(this.app, run, moment.at, judged, stands, one?.record.n ?? null),
      this.askFirst());
  }

  /** Whether the prediction came true, and why it fares so. */
  private grade(judged: Judged, one: Stands | null): HTMLElement {
    const fate = one === null ? undefined : judged.records.find(({ n }) => n === one.record.n);
    if (one === null || fate === undefined) {
      return el("p", { class: "plug-grade" }, "No record was written by then: there is nothing to lose.");
    }
    const said = this.said;
    const first = said === null || said === "skipped" ? `${capital(itIs(truth(fate)))}.` : graded(said, fate, judged);
    const right = said === null || said === "skipped" ? null : said === truth(fate) ? "yes" : "no";
    return el("div", { class: "plug-grade", "data-right": right },
      this.card(one), el("p", { class: "plug-grade-first" }, el("b", null, first)), el("p", null, why(one.record, one.rung, fate, judged)));
  }

  private card({ record }: Stands): HTMLElement {
    return el("p", { class: "record-card" }, el("q", { class: "mono" }, record.text),
      el("span", { class: "hint" }, `${record.bytes} ${record.bytes === 1 ? "byte" : "bytes"}, written to ${record.file} at ${record.offset} by line ${record.line}`));
  }

  private others(stands: Stands[], one: Stands): HTMLElement | null {
    if (stands.length < 2) return null;
    const select = el("select", { id: "plug-record" });
    for (const { record } of [...stands].reverse()) {
      select.append(el("option", { value: record.n }, `${record.text} (${record.file}, line ${record.line})`));
    }
    select.value = String(one.record.n);
    select.addEventListener("change", () => {
      this.picked = Number(select.value);
      this.render();
    });
    return el("p", { class: "field" }, el("label", { for: "plug-record" }, "Another record"), select);
  }

  private askFirst(): HTMLElement {
    const box = el("input", { type: "checkbox", id: "plug-asks" });
    box.checked = this.asks;
    box.addEventListener("change", () => {
      this.asks = box.checked;
    });
    return el("label", { class: "check" }, box, "Ask me before each answer");
  }

  private alive(): HTMLElement {
    const button = el("button", { type: "button", id: "plug-alive", "aria-keyshortcuts": "Escape" }, "Back to life ", kbd("Esc"));
    button.addEventListener("click", () => this.app.die(null));
    return button;
  }

  private when(): string {
    const { at } = this.app.state.moment;
    return at === 0 ? "before the first event" : `at event ${at}`;
  }

  private answer(said: Lost | "skipped"): void {
    const judged = this.judged();
    if (judged === null || !this.isAsking(judged)) return;
    this.said = said;
    this.render();
    const told = this.root.querySelector(".plug-grade");
    this.app.say([...(told?.querySelectorAll(":scope > p:not(.record-card)") ?? [])].map((p) => p.textContent).join(" "));
  }

  private powerOn(): void {
    const { death } = this.app.state.moment;
    if (death !== null) this.replay.begin(death);
  }

  private announce(): void {
    const { death, lesson } = this.app.state.moment;
    const judged = this.judged();
    if (death === null || judged === null || lesson !== null) return;
    const { one } = this.asked(judged);
    if (one === null) this.app.say(`${DEATHS[death].name} ${this.when()}. No record was written by then.`);
    else if (this.isAsking(judged)) {
      const answers = ANSWERS.map(({ key, is }) => `${key}: ${is}`).join(", ");
      this.app.say(`${DEATHS[death].name} ${this.when()}. Will the record ${one.record.text} survive? ${answers}, S: skip.`);
    } else this.app.say(`${DEATHS[death].name} ${this.when()}. ${this.root.querySelector(".plug-grade")?.textContent ?? ""}`);
  }

  private key(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    // In a lesson the plug is out of sight, and these keys are the lesson's.
    const judged = this.app.state.panel === "plug" ? this.judged() : null;
    if (judged === null) return;
    const key = event.key.toLowerCase();
    if (this.isAsking(judged)) {
      const answer = ANSWERS.find((one) => one.key === key);
      const skips = key === "s" || (key === "enter" && !isControl(event.target));
      if (answer === undefined && !skips) return;
      event.preventDefault();
      this.answer(answer?.lost ?? "skipped");
    } else if (key === "p" && !event.shiftKey) {
      event.preventDefault();
      this.powerOn();
    }
  }
}

function head(text: string): HTMLElement {
  const heading = el("h3", { class: "side-head", tabindex: "-1" });
  say(heading, text);
  return heading;
}

function kbd(key: string): HTMLElement {
  return el("kbd", { "aria-hidden": "true" }, key);
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable ||
    (target instanceof HTMLInputElement && !["checkbox", "radio", "button"].includes(target.type));
}

/** Whether Enter means something else there. */
function isControl(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("button, a, summary, select, input, [role=tab]") !== null;
}
