// Check yourself: questions that the simulation answers while one looks on.
//
// Invariant: which question is shown stands in `moment.lesson`, as `check` and its number. What is
// right is computed by running; nothing here knows it before.

import type { App } from "../app.ts";
import { type Bench, duration } from "../lessons/claims.ts";
import { lessonBy } from "../lessons/index.ts";
import { find } from "../lessons/moments.ts";
import { progress } from "../lessons/progress.ts";
import { best, measure, type Measure, type Question, rightOf, type Single, type Ways } from "../lessons/question.ts";
import { QUESTIONS } from "../lessons/questions.ts";
import { figuresOf, plain, verdict } from "../lessons/telling.ts";
import { el, fill, say } from "./dom.ts";
import { isTyping, written } from "./lessons.ts";

export const CHECK = "check";
/** How many hops the machine takes to its moment, and how long each is looked at. */
const HOPS = 16;
const HOP_MS = 60;

export function mount(root: HTMLElement, app: App): void {
  new Quiz(root, app);
}

class Quiz {
  private readonly list = el("div", { class: "quiz-list" });
  private readonly states: HTMLElement[] = [];
  private readonly page = el("article", { class: "lesson quiz", "aria-labelledby": "quiz-title" });
  private readonly place = el("span", { class: "lesson-place" });
  private readonly title = el("h2", { id: "quiz-title", tabindex: -1 });
  private readonly asked = el("div", { class: "lesson-asked" });
  private readonly table = el("div", { class: "quiz-table" });
  private readonly answer = el("div", { class: "lesson-answer", role: "status" });
  private readonly more = el("p", { class: "quiz-more" });
  private readonly next = el("button", { type: "button", onclick: () => this.step(1) }, "Next question ", el("kbd", {}, "n"));
  private drawn = -1;
  /** Which run is the last that was asked for. */
  private turn = 0;

  constructor(root: HTMLElement, private readonly app: App) {
    this.drawList();
    this.drawPage();
    fill(root, this.list, this.page);
    document.addEventListener("keydown", (event) => this.key(event));
    app.on((_state, changed) => {
      if (changed.has("lesson") || changed.has("run")) this.draw();
    });
    this.draw();
  }

  private drawList(): void {
    const rows = QUESTIONS.map((question, at) => {
      const state = el("span", { class: "lesson-state" });
      this.states.push(state);
      const name = el("span", { class: "lesson-name" }, el("span", { class: "lesson-number" }, at + 1), ...written(question.question, {}));
      return el("li", {}, el("button", { type: "button", class: "lesson-open plain-button", "data-question": question.id, onclick: () => this.go(at) }, name, state));
    });
    fill(this.list, el("h2", {}, "Check yourself"), el("ol", { class: "lesson-rows" }, ...rows));
  }

  private drawPage(): void {
    const all = el("button", { type: "button", class: "plain-button", onclick: () => this.leave() }, "All questions");
    const back = el("button", { type: "button", onclick: () => this.step(-1) }, "Back ", el("kbd", {}, "p"));
    fill(
      this.page,
      el("p", { class: "lesson-path" }, all, this.place),
      this.title,
      this.asked,
      this.table,
      this.answer,
      this.more,
      el("p", { class: "lesson-turn" }, back, this.next),
    );
  }

  private present(): { question: Question; at: number } | null {
    const place = this.app.state.moment.lesson;
    if (place?.id !== CHECK) return null;
    const at = Math.max(0, Math.min(QUESTIONS.length - 1, place.step));
    const question = QUESTIONS[at];
    return question ? { question, at } : null;
  }

  private go(at: number): void {
    this.turn += 1;
    this.app.die(null);
    this.app.choose("");
    this.app.lesson({ id: CHECK, step: at });
    this.title.focus();
  }

  private leave(): void {
    this.turn += 1;
    this.app.die(null);
    this.app.lesson(null);
    this.list.querySelector<HTMLElement>("button")?.focus();
  }

  private step(by: number): void {
    const now = this.present();
    if (!now) return;
    const to = now.at + by;
    if (to >= 0 && to < QUESTIONS.length) this.go(to);
    else this.leave();
  }

  private draw(): void {
    const now = this.present();
    this.list.hidden = this.app.state.moment.lesson !== null;
    this.page.hidden = now === null;
    QUESTIONS.forEach((question, at) => {
      const state = this.states[at];
      if (state) say(state, ["", "answered", "right"][progress.of(`${CHECK}.${question.id}`)] ?? "");
    });
    if (!now) {
      this.drawn = -1;
      return;
    }
    if (this.drawn === now.at) return;
    this.drawn = now.at;
    say(this.place, `Question ${now.at + 1} of ${QUESTIONS.length}`);
    fill(this.title, ...written(now.question.question, {}));
    fill(this.table);
    fill(this.answer);
    fill(this.more);
    this.drawQuestion(now.question);
  }

  private drawQuestion(question: Question): void {
    const texts = question.kind === "single" ? question.options.map((option) => option.text) : question.ways.map((way) => way.text);
    const options = texts.map((text, at) =>
      el("label", { class: "lesson-option" }, el("input", { type: "radio", name: `quiz-${question.id}`, value: at }), el("span", {}, ...written(text, {}))),
    );
    const run = question.kind === "single" ? "Run it" : "Run them all";
    const form = el(
      "form",
      { onsubmit: (event) => { event.preventDefault(); void this.tell(question, form); } },
      el("fieldset", {}, el("legend", {}, "What do you say?"), ...options),
      el("button", { type: "submit", class: "primary" }, run),
    );
    fill(this.asked, form);
  }

  private async tell(question: Question, form: HTMLFormElement): Promise<void> {
    const picked = form.querySelector<HTMLInputElement>("input:checked");
    if (!picked) return this.app.say("Choose an answer first.");
    if (!this.app.canRun) return fill(this.answer, this.app.cannotRun);
    this.turn += 1;
    const turn = this.turn;
    const button = form.querySelector("button");
    if (button) button.disabled = true;
    fill(this.answer, "The simulation runs.");
    const isStill = () => turn === this.turn;
    const isRight = question.kind === "single"
      ? await this.single(question, Number(picked.value), isStill)
      : await this.ways(question, Number(picked.value), isStill);
    if (button) button.disabled = false;
    if (isRight === null) return;
    progress.reach(`${CHECK}.${question.id}`, isRight ? 2 : 1);
    this.drawMore(question);
    this.next.scrollIntoView({ block: "nearest" });
  }

  /** Runs to the moment, lets the machine die, and says what is left. */
  private async single(question: Single, chosen: number, isStill: () => boolean): Promise<boolean | null> {
    await this.load(question.question, question.script, question.knobs ?? {});
    const run = this.app.state.run;
    const at = run ? find(question.when, run) : null;
    if (!isStill() || !run || at === null) return null;
    await this.walk(at, isStill);
    const bench = this.bench();
    if (!isStill() || !bench) return null;
    this.app.go(at);
    const right = rightOf(question, bench);
    const figures = figuresOf(question.figures, at, bench);
    const option = question.options[chosen];
    const words = verdict(option, right?.option);
    this.app.go(at);
    const { show } = question;
    if ("die" in show) {
      this.app.choose(show.by === run.info.model ? "" : show.by);
      this.app.die(show.die);
    } else {
      const to = find(show.go, run);
      if (to !== null) this.app.go(to);
    }
    fill(this.answer, el("strong", {}, words), " ", ...written(question.then, figures));
    return option !== undefined && option === right?.option;
  }

  /** Runs each way in turn and counts; the table grows as they end. */
  private async ways(question: Ways, chosen: number, isStill: () => boolean): Promise<boolean | null> {
    const measures: Measure[] = [];
    fill(this.table);
    for (const way of question.ways) {
      await this.load(way.text, way.script, {});
      if (!isStill()) return null;
      await this.walk(this.app.state.run?.tape.length ?? 0, isStill);
      const bench = this.bench();
      if (!isStill() || !bench) return null;
      measures.push(measure(bench, question));
      this.app.go(this.app.state.run?.tape.length ?? 0);
      fill(this.table, tableOf(question, measures, null));
    }
    const right = best(measures);
    fill(this.table, tableOf(question, measures, right));
    const text = right === null ? undefined : question.ways[right]?.text;
    const words = chosen === right ? "Right." : `No. The runs say: ${text === undefined ? "none of them" : plain(text, {})}.`;
    fill(this.answer, el("strong", {}, words), " ", ...written(question.then, {}));
    return chosen === right;
  }

  private async load(name: string, script: string, knobs: Single["knobs"]): Promise<void> {
    this.app.die(null);
    this.app.choose("");
    await this.app.load({ kind: "script", name: plain(name, {}), text: script }, knobs);
  }

  /** Goes to a moment in a few hops, so that one sees it happen. */
  private async walk(to: number, isStill: () => boolean): Promise<void> {
    const isStillPage = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const hops = isStillPage ? 1 : Math.min(HOPS, to);
    for (let hop = 1; hop <= hops && isStill(); hop++) {
      this.app.go(Math.round((to * hop) / hops));
      if (hop < hops) await new Promise((done) => setTimeout(done, HOP_MS));
    }
  }

  private bench(): Bench | null {
    const run = this.app.state.run;
    if (!run) return null;
    return {
      info: run.info,
      tape: run.tape,
      judge: (at, how, model) => { this.app.go(at); return this.app.judge(how, model); },
      recover: (at, how, choice) => { this.app.go(at); return this.app.recover(how, choice); },
    };
  }

  private drawMore(question: Question): void {
    const lesson = lessonBy(question.lesson);
    if (!lesson) return;
    const open = el("button", { type: "button", "data-lesson": lesson.id, onclick: () => this.open(lesson.id) }, lesson.title);
    fill(this.more, "The lesson on it: ", open);
  }

  private open(id: string): void {
    this.turn += 1;
    document.querySelector<HTMLElement>(`.lesson-list [data-lesson="${id}"]`)?.click();
  }

  private key(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (!this.present() || this.app.state.panel !== "lesson" || isTyping(event.target)) return;
    const by = { n: 1, p: -1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    this.step(by);
  }
}

/** Each way over its own numbers, so that all of them fit a narrow place. */
function tableOf(question: Ways, measures: Measure[], right: number | null): HTMLElement {
  const heads = ["Syncs", "FLUSHes a record", "Commits", "Time", "Told too early", ...(question.whole ? ["Not whole"] : [])];
  const bodies = measures.map((measure, at) => {
    const each = measure.records === 0 ? "–" : String(Number((measure.flushes / measure.records).toPrecision(2)));
    const cells = [measure.syncs, each, measure.commits, duration(measure.ns), `${measure.early} of ${measure.told}`];
    if (question.whole) cells.push(measure.broken === 0 ? "never" : "at times");
    const mark = at === right ? " ← this one" : "";
    const name = el("th", { scope: "rowgroup", colspan: heads.length }, ...written(question.ways[at]?.text ?? "", {}), mark);
    return el("tbody", { class: at === right ? "right" : null }, el("tr", {}, name), el("tr", {}, ...cells.map((cell) => el("td", {}, cell))));
  });
  const head = el("tr", {}, ...heads.map((text) => el("th", { scope: "col" }, text)));
  return el("table", {}, el("caption", {}, "What each way costs, and what it risks"), el("thead", {}, head), ...bodies);
}
