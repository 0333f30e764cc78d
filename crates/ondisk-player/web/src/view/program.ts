// The program: its text, the line that each task is on, and what it said to the outside.
//
// Invariant: a tick beside a line means that it was said by now, whatever became of the bytes since.
import type { App, Run } from "../app.ts";
import type { AckInfo, Fate, Lost } from "../types.ts";
import { el, fill, say, set } from "./dom.ts";
import { isAsked, onAsked } from "./layers/asked.ts";
import { clock, FATES, figures } from "./layers/words.ts";

/** So many lines of a text are drawn. */
const LINES = 2000;
/** So many notes on a run are shown. */
const NOTES = 12;

/** What stands beside a line at one moment. */
interface Beside {
  tasks: string[];
  acks: AckInfo[];
}

export function mount(root: HTMLElement, app: App): void {
  const title = el("h2", { class: "part" });
  const lines = el("ol", { class: "lines" });
  const scroll = el("div", { class: "lines-scroll", tabindex: 0, role: "group", "aria-label": "Script" }, lines);
  const notes = el("div", { class: "notes", role: "status" });
  fill(root, title, scroll, notes);
  let drawn: Run | null = null;
  lines.addEventListener("click", (event) => {
    const line = event.target instanceof Element ? event.target.closest<HTMLElement>("li") : null;
    const at = Number(line?.dataset["at"] ?? 0);
    if (at > 0) app.go(at);
  });
  const draw = (): void => {
    const { run } = app.state;
    root.hidden = run === null;
    if (run === null) return;
    if (run !== drawn) {
      drawn = run;
      say(title, run.name === "" ? "Program" : run.name);
      writeLines(lines, run);
      fill(notes, noted(run.info.notes));
    }
    mark(lines, scroll, app, run);
  };
  draw();
  onAsked(app, draw);
  app.on((_, changed) => {
    if (["run", "at", "death", "model", "error"].some((what) => changed.has(what as "run"))) draw();
  });
}

/** What is to be known of the whole run: where it was stopped, and which calls answered otherwise. */
function noted(notes: readonly string[]): HTMLElement | null {
  if (notes.length === 0) return null;
  const items = notes.slice(0, NOTES).map((note) => {
    const [, line, words] = /^line (\d+): (.*)$/s.exec(note) ?? [];
    return el("li", null, el("b", null, line === undefined ? "Limit" : `Line ${line}`), ` — ${words ?? note}`);
  });
  const more = notes.length - NOTES;
  return el("ul", null, ...items, more > 0 ? el("li", null, `… and ${figures(more)} more`) : null);
}

function writeLines(lines: HTMLElement, run: Run): void {
  const text = (run.script ?? run.tape.script).replace(/\n$/, "").split("\n");
  const first = new Map<number, number>();
  for (const [event, , line] of run.info.lines) {
    if (!first.has(line)) first.set(line, Math.max(1, event));
  }
  const made = text.slice(0, LINES).map((words, at) => lineOf(words, at + 1, first.get(at + 1)));
  fill(lines, ...made);
}

function lineOf(words: string, n: number, at: number | undefined): HTMLElement {
  const [written, comment] = parted(words);
  const code = comment === "" || written.trim() === "" ? written : `${written.trimEnd()}  `;
  const inside = [
    el("span", { class: "line-code" }, code, comment === "" ? null : el("i", null, comment)),
    el("span", { class: "line-said" }),
  ];
  const text =
    at === undefined
      ? el("span", { class: "line-text" }, ...inside)
      : el("button", { type: "button", class: "line-text", title: `to event ${figures(at)}` }, ...inside);
  return el(
    "li",
    { "data-line": n, "data-at": at ?? 0, "data-note": code.trim() === "" },
    el("span", { class: "line-number", "aria-hidden": "true" }, n),
    text,
    el("span", { class: "line-task" }),
  );
}

/** Code and comment. A `#` inside quotes begins none. */
function parted(words: string): [string, string] {
  let quoted = false;
  for (let at = 0; at < words.length; at += 1) {
    const letter = words[at];
    if (letter === "\\" && quoted) at += 1;
    else if (letter === '"') quoted = !quoted;
    else if (letter === "#" && !quoted) return [words.slice(0, at), words.slice(at)];
  }
  return [words, ""];
}

function mark(lines: HTMLElement, scroll: HTMLElement, app: App, run: Run): void {
  const { moment } = app.state;
  const beside = new Map<number, Beside>();
  const at = (line: number): Beside => {
    const found = beside.get(line) ?? { tasks: [], acks: [] };
    beside.set(line, found);
    return found;
  };
  for (const [task, line] of present(run, moment.at)) at(line).tasks.push(run.names.task(task));
  for (const ack of run.info.acks) if (ack.event <= moment.at) at(ack.line).acks.push(ack);
  const judged = moment.death === null || isAsked() ? null : app.judge(moment.death);
  const fates = new Map((judged?.acks ?? []).map((fate) => [fate.n, fate]));
  let here: HTMLElement | null = null;
  for (const element of lines.children) {
    if (!(element instanceof HTMLElement)) continue;
    const now = beside.get(Number(element.dataset["line"]));
    const present = now !== undefined && now.tasks.length > 0;
    set(element, "aria-current", present ? "step" : null);
    if (present) here ??= element;
    const said = element.querySelector(".line-said");
    const acks = now?.acks ?? [];
    if (said !== null) {
      say(said, saidWords(run, acks, fates));
      set(said, "data-fate", worst(acks, fates));
    }
    const task = element.querySelector(".line-task");
    const several = run.info.tasks.length > 1;
    if (task !== null) say(task, present && several ? (now?.tasks.join(" ") ?? "") : "");
  }
  if (here !== null) reveal(scroll, here);
}

/** By task: the line that it began last. */
function present(run: Run, at: number): Map<number, number> {
  const lines = new Map<number, number>();
  for (const [event, task, line] of run.info.lines) {
    if (event > at || at === 0) break;
    lines.set(task, line);
  }
  return lines;
}

function saidWords(run: Run, acks: AckInfo[], fates: Map<number, Fate>): string {
  const last = acks[acks.length - 1];
  if (last === undefined) return "";
  const when = run.info.level === "machine" ? ` at ${clock(run.tape.time(last.event))}` : "";
  const times = acks.length > 1 ? ` ${figures(acks.length)} times, last` : "";
  const fate = worst(acks, fates);
  const lost = fate === null ? "" : fate === "never" ? ", kept" : `, ${FATES[fate]}`;
  return `✓ acknowledged${times}${when}${lost}`;
}

function worst(acks: AckInfo[], fates: Map<number, Fate>): Lost | null {
  const found = acks.flatMap((ack) => {
    const fate = fates.get(ack.n);
    return fate === undefined ? [] : [fate.model ?? fate.machine];
  });
  return found.find((fate) => fate === "always") ?? found.find((fate) => fate === "sometimes") ?? found[0] ?? null;
}

/** Scrolls the text, and nothing else, so that a line is seen. */
function reveal(scroll: HTMLElement, line: HTMLElement): void {
  const [outer, inner] = [scroll.getBoundingClientRect(), line.getBoundingClientRect()];
  if (inner.top < outer.top || inner.bottom > outer.bottom) {
    scroll.scrollTop += inner.top - outer.top - (outer.height - inner.height) / 2;
  }
}
