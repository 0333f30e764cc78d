// Lessons: their list, and one of them, a step at a time.
//
// Invariant: which lesson and step is shown stands in `moment.lesson` alone. The step's moment is
// found in the run; whoever steps away by hand is off the path, and one button leads back.

import type { App } from "../app.ts";
import { answerTo, right, type Bench } from "../lessons/claims.ts";
import { LESSONS, lessonBy } from "../lessons/index.ts";
import { type Lesson, type Prediction, setupOf, type Step } from "../lessons/lesson.ts";
import { find } from "../lessons/moments.ts";
import { progress } from "../lessons/progress.ts";
import { type Figures, figuresOf, pieces, plain, verdict } from "../lessons/telling.ts";
import { knobsFrom } from "../runs.ts";
import { el, fill, say, set } from "./dom.ts";

const LAYERS = ["", "the buffer", "the VFS", "the page cache", "the file system", "the block layer", "the drive"];

export function mount(root: HTMLElement, app: App): void {
  new Lessons(root, app);
}

/** What was said to a prediction. */
interface Said {
  chosen: number;
  words: string;
}

class Lessons {
  private readonly list = el("div", { class: "lesson-list" });
  private readonly items = new Map<string, HTMLElement>();
  private readonly page = el("article", { class: "lesson", "aria-labelledby": "lesson-title" });
  private readonly place = el("span", { class: "lesson-place" });
  private readonly title = el("h2", { id: "lesson-title", tabindex: -1 });
  private readonly question = el("p", { class: "lesson-question" });
  private readonly bar = el("progress", { class: "lesson-bar", "aria-label": "Steps" });
  private readonly count = el("span", { class: "lesson-count" });
  private readonly text = el("p", { class: "lesson-text" });
  private readonly look = el("p", { class: "lesson-look" });
  private readonly off = el("p", { class: "lesson-off" });
  private readonly asked = el("div", { class: "lesson-asked" });
  private readonly answer = el("p", { class: "lesson-answer", role: "status" });
  private readonly back = el("button", { type: "button", onclick: () => this.step(-1) }, "Back ", el("kbd", {}, "p"));
  private readonly next = el("button", { type: "button", class: "primary", onclick: () => this.step(1) });
  /** What was said, by lesson and step: this visit's. */
  private readonly said = new Map<string, Said>();
  private readonly told = new Map<string, Figures>();
  /** The step that is being gone to. */
  private going: string | null = null;
  /** The step whose page is drawn. */
  private drawn = "";

  constructor(root: HTMLElement, private readonly app: App) {
    this.drawList();
    this.drawPage();
    fill(root, this.list, this.page);
    const menu = el("button", { type: "button", class: "lessons-button", onclick: () => this.open() }, "Lessons");
    document.getElementById("menu")?.prepend(menu);
    document.addEventListener("keydown", (event) => this.key(event));
    app.on(() => this.draw());
    this.draw();
  }

  private open(): void {
    this.app.lesson(null);
    this.app.show("lesson");
    this.list.querySelector<HTMLElement>("button")?.focus();
  }

  private drawList(): void {
    const rows = LESSONS.map((lesson, at) => {
      const state = el("span", { class: "lesson-state" });
      this.items.set(lesson.id, state);
      const name = el("span", { class: "lesson-name" }, el("span", { class: "lesson-number" }, at + 1), lesson.title);
      const button = el("button", { type: "button", class: "lesson-open plain-button", "data-lesson": lesson.id, onclick: () => void this.go(lesson, 0) }, name, state);
      return el("li", {}, button);
    });
    fill(
      this.list,
      el("h2", {}, "Lessons"),
      el("p", { class: "lesson-hint" }, this.app.canRun ? "" : `${this.app.cannotRun} `, "Each is a few steps on the real simulator. ", el("kbd", {}, "n"), " goes on, ", el("kbd", {}, "p"), " goes back."),
      el("ol", { class: "lesson-rows" }, ...rows),
    );
  }

  private drawPage(): void {
    const all = el("button", { type: "button", class: "plain-button", onclick: () => this.open() }, "All lessons");
    const home = el("button", { type: "button", onclick: () => void this.again() }, "Back to the lesson");
    fill(this.off, "You have left the path. ", home);
    fill(
      this.page,
      el("p", { class: "lesson-path" }, all, this.place),
      this.title,
      this.question,
      el("p", { class: "lesson-steps" }, this.bar, this.count),
      this.text,
      this.look,
      this.off,
      this.asked,
      this.answer,
      el("p", { class: "lesson-turn" }, this.back, this.next),
    );
  }

  /** The lesson and step that the moment names. */
  private present(): { lesson: Lesson; step: Step; at: number; key: string } | null {
    const place = this.app.state.moment.lesson;
    const lesson = place ? lessonBy(place.id) : null;
    if (!place || !lesson) return null;
    const at = Math.max(0, Math.min(lesson.steps.length - 1, place.step));
    const step = lesson.steps[at];
    return step ? { lesson, step, at, key: `${lesson.id}.${at}` } : null;
  }

  private step(by: number): void {
    const now = this.present();
    if (!now) return;
    const to = now.at + by;
    const following = LESSONS[LESSONS.indexOf(now.lesson) + 1];
    if (to >= 0 && to < now.lesson.steps.length) void this.go(now.lesson, to);
    else if (to < 0) this.open();
    else if (following) void this.go(following, 0);
    else this.open();
  }

  private async again(): Promise<void> {
    const now = this.present();
    if (now) await this.go(now.lesson, now.at);
  }

  /** Goes to a step: its run, then its moment. */
  private async go(lesson: Lesson, at: number): Promise<void> {
    const step = lesson.steps[at];
    if (!step) return;
    const key = `${lesson.id}.${at}`;
    const isOther = this.app.state.moment.lesson?.id !== lesson.id;
    this.going = key;
    this.app.pause();
    this.app.die(null);
    this.app.choose("");
    this.app.lesson({ id: lesson.id, step: at });
    if (!this.isItsRun(lesson, step)) {
      const { script, knobs } = setupOf(lesson, step);
      await this.app.load({ kind: "script", name: lesson.title, text: script }, knobs);
    }
    if (this.going !== key || this.app.state.moment.lesson?.id !== lesson.id) return;
    const run = this.app.state.run;
    const moment = run && find(step.when, run);
    if (moment !== null) this.app.go(moment);
    this.going = null;
    this.draw();
    this.app.say(`Step ${at + 1} of ${lesson.steps.length}. ${plain(step.text, this.figures(lesson, step, key))}`);
    if (isOther) this.title.focus();
  }

  private isItsRun(lesson: Lesson, step: Step): boolean {
    const { run, moment } = this.app.state;
    const { script, knobs } = setupOf(lesson, step);
    return run?.script === script && JSON.stringify(moment.knobs) === JSON.stringify(knobsFrom(knobs));
  }

  /** Whether what is shown is what the step shows, or the answer to it. */
  private isOnPath(lesson: Lesson, step: Step, said: Said | undefined): boolean {
    const { run, moment } = this.app.state;
    if (!run || !this.isItsRun(lesson, step)) return false;
    const show = said ? step.predict?.show : undefined;
    if (moment.death !== null && !(show && "die" in show && show.die === moment.death)) return false;
    if (moment.at === find(step.when, run)) return true;
    return show !== undefined && "go" in show && moment.at === find(show.go, run);
  }

  private bench(): Bench | null {
    const { run, moment } = this.app.state;
    if (!run) return null;
    return {
      info: run.info,
      tape: run.tape,
      judge: (at, how, model) => (at === moment.at ? this.app.judge(how, model) : null),
      recover: (at, how, choice) => (at === moment.at ? this.app.recover(how, choice) : null),
    };
  }

  /** The figures of a step, asked once it is there. */
  private figures(lesson: Lesson, step: Step, key: string): Figures {
    const known = this.told.get(key);
    if (known) return known;
    const { run, moment } = this.app.state;
    const at = run && this.isItsRun(lesson, step) ? find(step.when, run) : null;
    const figures = figuresOf(step.figures, at ?? 0, at === null ? null : this.bench());
    if (at !== null && at === moment.at) this.told.set(key, figures);
    return figures;
  }

  private draw(): void {
    const now = this.present();
    this.list.hidden = this.app.state.moment.lesson !== null;
    this.page.hidden = now === null;
    this.drawProgress();
    set(document.documentElement, "data-look", now?.step.look ?? null);
    if (!now) return;
    const { lesson, step, at, key } = now;
    const { steps } = lesson;
    progress.reach(lesson.id, at + 1);
    say(this.place, `Lesson ${LESSONS.indexOf(lesson) + 1} of ${LESSONS.length}`);
    say(this.title, lesson.title);
    say(this.question, lesson.question);
    set(this.bar, "max", steps.length);
    set(this.bar, "value", at + 1);
    say(this.count, `Step ${at + 1} of ${steps.length}`);
    const figures = this.figures(lesson, step, key);
    if (this.text.textContent !== plain(step.text, figures)) fill(this.text, ...written(step.text, figures));
    say(this.look, step.look ? `Look at layer ${step.look}: ${LAYERS[step.look]}.` : "");
    this.look.hidden = !step.look;
    const said = this.said.get(key);
    const isGoing = this.going !== null || this.app.state.busy;
    this.off.hidden = isGoing || !this.app.canRun || this.isOnPath(lesson, step, said);
    if (this.drawn !== key) this.drawQuestion(step, key);
    this.drawn = key;
    this.drawAnswer(step, figures, said);
    this.drawTurn(lesson, at);
  }

  private drawProgress(): void {
    for (const lesson of LESSONS) {
      const [seen, all] = [progress.of(lesson.id), lesson.steps.length];
      const state = this.items.get(lesson.id);
      if (state) say(state, seen === 0 ? "" : seen >= all ? "done" : `${seen} of ${all}`);
    }
  }

  private drawTurn(lesson: Lesson, at: number): void {
    const isLast = at === lesson.steps.length - 1;
    const following = LESSONS[LESSONS.indexOf(lesson) + 1];
    const words = isLast ? (following ? `Next lesson: ${following.title} ` : "All lessons ") : "Next ";
    if (this.next.dataset["words"] === words) return;
    this.next.dataset["words"] = words;
    fill(this.next, words, el("kbd", {}, "n"));
  }

  private drawQuestion(step: Step, key: string): void {
    const { predict } = step;
    if (!predict) return fill(this.asked);
    const name = `predict-${key}`;
    const options = predict.options.map((option, at) =>
      el("label", { class: "lesson-option" }, el("input", { type: "radio", name, value: at, checked: this.said.get(key)?.chosen === at }), el("span", {}, ...written(option.text, {}))),
    );
    const form = el(
      "form",
      { onsubmit: (event) => { event.preventDefault(); void this.tell(form); } },
      el("fieldset", {}, el("legend", {}, ...written(predict.question, {})), ...options),
      el("button", { type: "submit" }, "See what happens"),
    );
    fill(this.asked, form);
  }

  /** Asks the run, then shows it: the plug is pulled, or time goes on. */
  private async tell(form: HTMLFormElement): Promise<void> {
    const picked = form.querySelector<HTMLInputElement>("input:checked");
    const now = this.present();
    const predict = now?.step.predict;
    if (!now || !predict) return;
    if (!picked) return this.app.say("Choose an answer first.");
    const on = this.app.state.moment;
    if (!this.isItsRun(now.lesson, now.step) || on.at !== find(now.step.when, this.app.state.run!)) await this.again();
    const words = this.judgement(predict, Number(picked.value));
    this.said.set(now.key, { chosen: Number(picked.value), words });
    this.perform(predict);
    this.draw();
    this.next.scrollIntoView({ block: "nearest" });
  }

  private judgement(predict: Prediction, chosen: number): string {
    const bench = this.bench();
    if (!bench) return "Nothing runs here, so nothing can be asked.";
    const answer = answerTo(predict.ask, this.app.state.moment.at, bench);
    return verdict(predict.options[chosen], right(predict.options, answer)[0]);
  }

  private perform(predict: Prediction): void {
    const { show } = predict;
    const run = this.app.state.run;
    if ("die" in show) {
      this.app.choose(show.by === run?.info.model ? "" : show.by);
      this.app.die(show.die);
    } else {
      const at = run && find(show.go, run);
      if (at !== null) this.app.go(at);
    }
  }

  private drawAnswer(step: Step, figures: Figures, said: Said | undefined): void {
    const wanted = said && step.predict ? `${said.words} ${plain(step.predict.then, figures)}` : "";
    this.answer.hidden = wanted === "";
    if (this.answer.textContent === wanted) return;
    if (!said || !step.predict) return fill(this.answer);
    fill(this.answer, el("strong", {}, said.words), " ", ...written(step.predict.then, figures));
  }

  private key(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const { panel, moment } = this.app.state;
    if (panel !== "lesson" || isTyping(event.target)) return;
    const by = { n: 1, p: -1 }[event.key];
    if (by === undefined || (moment.lesson !== null && !this.present())) return;
    event.preventDefault();
    if (this.present()) return this.step(by);
    const first = LESSONS.find((lesson) => progress.of(lesson.id) < lesson.steps.length) ?? LESSONS[0];
    if (by === 1 && first) void this.go(first, Math.max(0, progress.of(first.id) - 1));
  }
}

/** A sentence as nodes. */
export function written(text: string, figures: Figures): Node[] {
  return pieces(text, figures).map((piece) => {
    if (piece.kind === "code") return el("code", {}, piece.text);
    return piece.kind === "figure" ? el("b", { class: "figure" }, piece.text) : document.createTextNode(piece.text);
  });
}

/** Whether letters are wanted there. A choice among radio buttons wants none. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || target.matches("input:not([type=radio]):not([type=checkbox]), textarea, select");
}
